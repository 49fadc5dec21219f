"""`python -m hack.chaos`: see `--help`."""

import sys

from hack.chaos.cli import main

if __name__ == "__main__":
    # Not where an operator's process loads this module for its own start.
    sys.exit(main())
