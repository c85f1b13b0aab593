"""Measurements of the data plane: `dupn bench samples`."""
