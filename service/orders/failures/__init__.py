"""Orders that wait for a person: why, in groups by store and reason; muted groups; and retrying a group as a job."""
