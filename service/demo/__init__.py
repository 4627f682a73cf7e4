"""The demo: the whole service on one machine against the sandbox, with real processes, HTTP and Redis."""
