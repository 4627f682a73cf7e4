"""``enrich init``: write the first stores file."""
