"""One replica as a process: settings, start, backend, server, end."""
