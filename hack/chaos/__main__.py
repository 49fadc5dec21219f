"""`python -m hack.chaos`: see `--help`."""

import sys

from hack.chaos.cli import main

if __name__ == "__main__":
    # The operator's processes load this module, too, and must not start a campaign.
    sys.exit(main())
