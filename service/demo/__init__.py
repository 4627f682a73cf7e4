"""Everything on one machine against the sandbox: real processes, real HTTP, a real Redis, orders of many kinds."""
