"""``enrich report``: how the orders went."""
