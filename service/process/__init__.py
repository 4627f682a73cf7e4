"""The operating-system side of a process: child processes, signals, sockets, health check, memory."""
