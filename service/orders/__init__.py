"""Orders: their state, their document, the values that are sent, previews, backfill."""
