"""``enrich preview``: what would be sent for real orders."""
