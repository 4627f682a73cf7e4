"""The console: the web page for people. It shows what happened to orders, and lets operators act on them."""
