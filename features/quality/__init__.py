"""What is measured of a day, as tallies that merge, and what makes a day abnormal."""
