"""A day is measured and judged before anyone builds on it."""
