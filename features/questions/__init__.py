"""What is asked of a user at a moment, and of which candidates; what was known by then."""
