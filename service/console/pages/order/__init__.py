"""The page of one order, and what people do there."""
