"""`python -m hack.images`: build the operator's and the service's image."""

import sys

from hack.images.build import PROGRAMS, build, tag
from hack.images.builder import ImageError

try:
    build()
except ImageError as error:
    sys.exit(str(error))
print("\n".join(tag(program) for program in PROGRAMS))
