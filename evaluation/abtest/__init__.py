"""The statistics of an online experiment (Section 6.5): pure functions of per-user sums."""
