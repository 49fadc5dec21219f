"""`python -m benchmarks.service`: see `--help`."""

import sys

from benchmarks.service.cli import main

sys.exit(main())
