"""The page of one store, and what people do there."""
