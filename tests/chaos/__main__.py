"""`python -m tests.chaos`: inject faults between a real operator and a real API server; see `--help`."""

import sys

from tests.chaos.cli import main

if __name__ == "__main__":
    # The operator's processes load this module, too, and must not start a campaign.
    sys.exit(main())
