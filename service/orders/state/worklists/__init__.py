"""Which orders of a store something is still to be done for, in sorted sets of Redis."""
