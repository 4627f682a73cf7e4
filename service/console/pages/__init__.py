"""The pages of the console: one module a page, with its route, what it loads and what its JSON holds."""
