"""The sandbox's HTTP APIs: core V2 and V3, B2B Edition management."""
