"""The programs behind the other packages: pinned Go modules, commands, background processes, progress."""
