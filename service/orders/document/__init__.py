"""Loads the order document that rules read: order, metafields, people. With batching, throttling and a cache."""
