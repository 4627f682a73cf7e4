"""``enrich hooks``: a store's webhooks."""
