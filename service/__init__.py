"""Puts PO numbers and extra fields onto B2B Edition orders: the receiver, the CLI, and code shared with workers."""
