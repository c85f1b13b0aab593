"""The simulated marketplace: the only place where the truth is known."""
