"""Orders that wait for something before they are written: values, the record, a turn."""
