"""``enrich backfill``: enrich existing orders."""
