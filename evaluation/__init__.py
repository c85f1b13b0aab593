"""Did it get better: metrics, yardsticks, gate, report, and the simulated marketplace."""
