"""``enrich stores``: the stores and whether anything is written for them."""
