"""The rules editor: the orders that rules are tried on, what they give, and what somebody has typed."""
