"""What the network is measured against: the plain recurrence, and other people's models."""
