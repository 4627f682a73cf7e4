"""A process and its operating system: child processes, signals, sockets, health check, garbage collection."""
