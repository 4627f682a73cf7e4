"""Facts of a store: what BigCommerce's documentation leaves open, as `enrich rehearse` and ordinary orders found it.

Facts add care, choose a name and order retries. They never let an Update send less than the whole set of extra fields,
lengthen the create window, or end or skip an order: without any of them, the service does the careful thing.
"""
