"""Single decisions of an order's life, called by its state machine."""
