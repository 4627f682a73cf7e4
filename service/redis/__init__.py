"""Redis: the client, Lua scripts, and the embedded server of `enrich up`."""
