"""`python -m hack.images [PROGRAM ...]`: build the images of operator and service, or only the named ones."""

import argparse
import sys

from hack.images.build import PROGRAMS, build, tag
from hack.images.docker import ImageError
from hack.images.platforms import target_platforms
from hack.toolchain.errors import ToolError

parser = argparse.ArgumentParser(prog="python -m hack.images", description=__doc__)
parser.add_argument("programs", nargs="*", metavar="PROGRAM", help=" or ".join(PROGRAMS))
programs = tuple(parser.parse_args().programs) or PROGRAMS
if unknown := set(programs) - set(PROGRAMS):
    parser.error(f"no such program: {', '.join(unknown)}; there are {', '.join(PROGRAMS)}")
try:
    build(programs, platforms=target_platforms())
except (ToolError, ImageError) as error:
    sys.exit(str(error))
print("\n".join(tag(program, platform) for platform in target_platforms() for program in programs))
