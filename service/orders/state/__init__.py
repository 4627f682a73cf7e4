"""An order's state: its entry in the ledger, its state transitions, its jobs and queues."""
