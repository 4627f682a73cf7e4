"""Who an order is for: the buyer, and the Company whose values it gets."""
