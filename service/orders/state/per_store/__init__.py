"""What is kept of a store rather than of one order."""
