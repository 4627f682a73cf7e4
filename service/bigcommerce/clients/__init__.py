"""The APIs' clients: one documented call a method."""
