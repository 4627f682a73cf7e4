"""Turns rule results into the values that are sent: skipping, validation, merging with the record."""
