"""Train and update: settings handed to `training`, and what was trained found again."""
