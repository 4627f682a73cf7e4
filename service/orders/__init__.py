"""Orders: their state, their document, the values that are sent, preview, backfill."""
