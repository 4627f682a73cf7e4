"""``enrich preview``: show what would be sent for real orders."""
