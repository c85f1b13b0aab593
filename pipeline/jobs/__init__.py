"""Beam jobs: pure functions of `features`, one named composite each, and `run()`."""
