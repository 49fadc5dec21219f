"""Check that the operator is ready, and that the API server serves its kinds: the Pod of `helm test`.

Its arguments are the URLs of the operator's readiness and of the API group's version.
"""

import json
import ssl
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
KINDS = {"MCQSolver", "MCQExam", "MCQPolicy"}
SECONDS = 60.0
"""How long each check is repeated: a new Pod may need a moment until the network lets it connect."""


def operator_is_ready(url: str) -> None:
    """Return if the operator says that it is ready. Raises OSError."""
    urllib.request.urlopen(url, timeout=5).close()  # noqa: S310 (the chart's own address)


def kinds_are_served(url: str) -> None:
    """Return if the API server serves each of the operator's kinds. Raises OSError or LookupError."""
    token = (ACCOUNT / "token").read_text()
    trust = ssl.create_default_context(cafile=ACCOUNT / "ca.crt")
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})  # noqa: S310 (the same)
    with urllib.request.urlopen(request, timeout=5, context=trust) as response:  # noqa: S310 (the same)
        served = {resource["kind"] for resource in json.load(response)["resources"]}
    if missing := KINDS - served:
        raise LookupError(f"{', '.join(sorted(missing))}: not served. Are the release's CRDs installed?")


def passes(name: str, check: Callable[[str], None], url: str) -> bool:
    """Repeat the check until it passes or its time is over; print the result."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            check(url)
        except (OSError, LookupError) as error:
            if time.monotonic() > deadline:
                print(f"FAILED  {name}: {url}: {error}")
                return False
            time.sleep(1)
        else:
            print(f"ok      {name}: {url}")
            return True


def main() -> int:
    """Make both checks; return the exit status."""
    readiness, api = sys.argv[1:]
    results = [
        passes("the operator is ready", operator_is_ready, readiness),
        passes("the API server serves its kinds", kinds_are_served, api),
    ]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
