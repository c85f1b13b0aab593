"""The raw log of a day: brought in, arrived, read, and every row of it accounted for."""
