"""One replica as a process: settings, start, serving, end."""
