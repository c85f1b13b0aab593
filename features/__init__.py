"""The domain language: events, sequences, samples (NumPy + Arrow; no torch, no Beam)."""
