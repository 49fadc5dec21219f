"""`python -m benchmarks.operator`: see `--help`."""

import sys

from benchmarks.operator.cli import main

sys.exit(main())
