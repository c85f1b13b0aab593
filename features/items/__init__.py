"""What is known of every item as of the end of a day: seen, listed, counted, rated."""
