"""What is kept: made again where it changed or broke, removed when old, found for a person."""
