"""`python -m hack.bench`: see `--help`."""

import sys

from hack.bench.cli import main

sys.exit(main())
