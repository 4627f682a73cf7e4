"""Checks of what a store lets this service do: tokens, webhooks, quotas."""
