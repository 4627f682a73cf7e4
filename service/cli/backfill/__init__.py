"""``enrich backfill``: enrich orders that are already there."""
