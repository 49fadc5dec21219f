"""`python -m hack.bench_operator`: see `--help`."""

import sys

from hack.bench_operator.cli import main

sys.exit(main())
