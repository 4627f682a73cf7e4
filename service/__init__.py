"""Puts PO numbers and extra fields onto B2B Edition orders: what both processes know, and the receiver."""
