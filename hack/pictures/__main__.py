"""Draw dashboards with a running Prometheus: `python -m hack.pictures --prometheus URL DASHBOARD.json ...`.

A solver's own dashboards, in its ConfigMap, have their variables' values;
`--variable namespace=NAME --variable solver=NAME` selects a solver in the general ones.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from hack.pictures.errors import PictureError
from hack.pictures.panels import read
from hack.pictures.picture import picture
from hack.pictures.prometheus import Prometheus, TimeRange


def main() -> None:
    """Draw the dashboards, or exit with the error."""
    options = _parser().parse_args()
    times = TimeRange.until(time.time(), seconds=options.minutes * 60, scrape_seconds=options.scrape_seconds)
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        for file in options.dashboards:
            board = read(
                json.loads(file.read_text()),
                rate_interval=times.rate_interval,
                variables=dict(options.variable),
            )
            path = options.out / f"{file.stem}.png"
            picture(board, Prometheus(options.prometheus), times).save(path)
            print(path)
    except PictureError as error:
        sys.exit(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hack.pictures", description=__doc__)
    parser.add_argument("dashboards", nargs="+", type=Path, help="the dashboards' JSON files")
    parser.add_argument("--prometheus", default="http://localhost:9090", help="its address")
    parser.add_argument("--out", type=Path, default=Path("build/pictures"), help="the folder of the pictures")
    parser.add_argument("--minutes", type=float, default=60, help="how many, until now")
    parser.add_argument("--scrape-seconds", type=float, default=30, help="how often Prometheus scrapes")
    parser.add_argument(
        "--variable", action="append", default=[], type=_variable, metavar="NAME=VALUE",
        help="a value for a dashboard's variable",
    )  # fmt: skip
    return parser


def _variable(given: str) -> tuple[str, str]:
    name, equals, value = given.partition("=")
    if not equals:
        message = f"{given} is not NAME=VALUE"
        raise argparse.ArgumentTypeError(message)
    return name, value


if __name__ == "__main__":
    main()
