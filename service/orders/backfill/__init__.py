"""Backfill: enriches orders that were placed before the service was running."""
