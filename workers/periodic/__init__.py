"""Periodic tasks, run for each store: reconcile, polling fallback, hook monitor."""
