"""``enrich rehearse``."""
