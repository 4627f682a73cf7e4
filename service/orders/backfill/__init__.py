"""Backfill: enriches orders that were placed before the service saw them."""
