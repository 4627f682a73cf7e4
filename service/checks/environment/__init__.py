"""Checks of this machine and Redis."""
