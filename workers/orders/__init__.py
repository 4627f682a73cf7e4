"""The life of an order: its state machine, its jobs, verification."""
