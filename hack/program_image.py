"""Programs of the pinned Go modules as images, for a cluster that may reach no public registry."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from hack.images.builder import builder

if TYPE_CHECKING:
    from hack.cluster.local import Local


def program_image(provider: Local, module: str, program: str) -> str:
    """An image with nothing but the program, which is built and needs nothing else; pushed, by digest."""
    context = provider.instance.state / "programs" / program
    shutil.rmtree(context, ignore_errors=True)
    context.mkdir(parents=True)
    os.link(provider.tools.binary(module, program), context / program)
    dockerfile = context / "Dockerfile"
    dockerfile.write_text(f'FROM scratch\nCOPY {program} /bin/{program}\nENTRYPOINT ["/bin/{program}"]\n')
    tag = f"localhost/{module}-{program}:latest"
    builder().build(dockerfile, context, tag)
    return provider.load(tag)
