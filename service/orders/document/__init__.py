"""Loading the order document that rules read: order, metafields, people; batching, throttling, cache."""
