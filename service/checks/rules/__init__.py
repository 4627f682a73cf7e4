"""Checks of a store's rules."""
