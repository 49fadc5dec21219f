"""`python -m benchmarks.operator`: see `--help`."""

from benchmarks.operator.cli import main

main()
