"""The receiver: takes webhooks, authenticates them, queues their orders."""
