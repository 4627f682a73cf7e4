"""Changes the rules of one store in a stores file, and leaves every other byte of the file as it is."""
