"""From rule results to the values that are sent: validation, merging with the record, skipping."""
