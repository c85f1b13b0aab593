"""The network of the paper, Section 4."""
