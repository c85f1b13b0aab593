"""Who is in which arm of an experiment, and what came of it."""
