"""Online experiments: declared, looked at, concluded; and the closed loop that tries them."""
