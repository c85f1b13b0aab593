"""Models of others over the same batches: what the network is compared with (Section 6.1)."""
