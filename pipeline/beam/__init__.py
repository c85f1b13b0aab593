"""How Beam jobs run here: the runner, what its elements are, files as the result."""
