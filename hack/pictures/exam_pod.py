"""The program of an exam's Pod as a process of this machine: `python -m hack.pictures.exam_pod FOLDER ARGUMENT ...`.

FOLDER has what the kubelet mounts: `token`, `namespace`, `ca.crt`; the termination message is written there.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mcq_eval import config_maps, evidence
from mcq_service.__main__ import main

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    config_maps.ACCOUNT = folder
    evidence.TERMINATION_LOG = folder / "termination-log"
    sys.argv[1:2] = []
    sys.exit(main())
