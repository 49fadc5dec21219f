"""Log lines as JSON, with the resource and the reconcile that they are about."""

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import NamedTuple

from mcq_operator.api import Key

PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class ReconcileContext(NamedTuple):
    """The subject of a log line."""

    key: Key
    """The resource."""
    id: str
    """The id of the reconcile."""


current_reconcile: ContextVar[ReconcileContext | None] = ContextVar("reconciling", default=None)
"""The current reconcile of this task, or its last one."""


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object in a line: time, level, logger, message, and the record's extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Render a record."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if context := current_reconcile.get():
            line |= {context.key.short_kind: str(context.key), "reconcile": context.id}
        line |= {name: str(value) for name, value in vars(record).items() if name not in PLAIN}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure_logging(level: str) -> None:
    """Send every log line to stderr as JSON; from libraries only warnings and errors."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for library in ("kopf", "asyncio", "aiohttp"):
        logging.getLogger(library).setLevel(logging.WARNING)
    # kopf warns that its thread gets no signals, which is intended.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
