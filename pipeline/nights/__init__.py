"""The nights of a home: whose turn it is, what became of each, who is told."""
