"""The operator's commands (check, exam report, backup, restore), and the programs `mcq` and `kubectl mcq`."""
