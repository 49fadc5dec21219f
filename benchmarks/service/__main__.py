"""`python -m benchmarks.service`: see `--help`."""

from benchmarks.service.cli import main

main()
