"""One replica as a process: HTTP is up at once, the model loads meanwhile, SIGTERM drains."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from mcq_service.api import app
from mcq_service.api.error_mapping import EXPECTED
from mcq_service.engine.errors import EngineMismatch
from mcq_service.model_store import ModelStoreError
from mcq_service.runtime import connections
from mcq_service.runtime.api_keys import ApiKeys
from mcq_service.runtime.lifecycle import Lifecycle, Status
from mcq_service.runtime.loading import load
from mcq_service.telemetry import Metrics, Tracing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcq_service.runtime.settings import Settings

_log = logging.getLogger(__name__)
_TERMINATION_LOG = Path("/dev/termination-log")  # Kubernetes shows it for a container that ended
_PROBE_CONNECTIONS = 64


class _Server(uvicorn.Server):
    """uvicorn without signal handlers: its own would stop listening before the probes see the drain."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture nothing."""
        yield


async def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT. Return the exit code: 0, or the error's if the model can't be loaded, else 1.

    Raises OSError if the server can't listen on an address; its `strerror` names the address.
    """
    keys = ApiKeys(settings.api_keys_file) if settings.api_keys_file else None
    lifecycle, metrics, tracing = Lifecycle(), Metrics(), Tracing()
    servers = _servers(settings, lifecycle, metrics=metrics, tracing=tracing, keys=keys)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    serving = [asyncio.create_task(server.serve(sockets=listeners)) for server, listeners in servers]
    loading = asyncio.create_task(load(settings, lifecycle, metrics=metrics, tracing=tracing))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({*serving, loading, stopping}, return_when=asyncio.FIRST_COMPLETED)
        code = _exit_code(loading, lifecycle) if loading.done() else 0
        if code == 0:
            await asyncio.wait({*serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not await lifecycle.drain(seconds=settings.drain_seconds):
                _log.warning("not all questions were finished within %s s", settings.drain_seconds)
    finally:
        loading.cancel()
        stopping.cancel()
        for (server, _), task in zip(servers, serving, strict=True):
            server.should_exit = True
            await task
        if lifecycle.backend:
            await lifecycle.backend.stop()
        tracing.shutdown()
    return code


def _servers(
    settings: Settings, lifecycle: Lifecycle, *, metrics: Metrics, tracing: Tracing, keys: ApiKeys | None
) -> list[tuple[_Server, list[socket.socket]]]:
    """Return the server for clients and, with a probe port, the one for probes; the latter ends last."""
    client_app = app.build(
        lifecycle,
        metrics=metrics,
        tracing=tracing,
        keys=keys,
        trace_url=settings.trace_url,
        exam_file=settings.exam_file,
        allowed_origins=settings.allowed_origins,
        root_path=settings.root_path,
        has_probe_port=settings.probe_port is not None,
    )
    limit = connections.max_connections(queued_requests=settings.max_queued_requests)
    connections.raise_file_limit(connections=limit)
    config = connections.uvicorn_config(client_app, limit=limit)
    servers = [(_Server(config), _listen(settings.host, settings.port))]
    if settings.probe_port is not None:
        probe_app = app.build_probes(lifecycle, metrics=metrics, tracing=tracing, keys=keys)
        config = connections.uvicorn_config(probe_app, limit=_PROBE_CONNECTIONS)
        servers.append((_Server(config), _listen(settings.host, settings.probe_port)))
    return servers


def _listen(host: str, port: int) -> list[socket.socket]:
    """Listen on an address; for `::` on IPv6 and IPv4, with a socket for each.

    A single socket for both would show IPv4 clients as `::ffff:…`, which limits and lists of proxies do not expect.
    """
    try:
        if host != "::":
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            return [socket.create_server((host, port), family=family)]
        listeners = []
        if _has_ipv6():
            listeners.append(socket.create_server((host, port), family=socket.AF_INET6))
            port = listeners[0].getsockname()[1]
        return [*listeners, socket.create_server(("0.0.0.0", port))]  # noqa: S104 - as configured
    except OSError as error:
        shown = f"[{host}]" if ":" in host else host
        raise OSError(error.errno, f"Can't listen on {shown}:{port}: {error.strerror}") from error


def _has_ipv6() -> bool:
    """Return whether the kernel has IPv6; Python's flag is only about its build."""
    try:
        socket.create_server(("::", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def _exit_code(loading: asyncio.Task[None], lifecycle: Lifecycle) -> int:
    """Return 0, or report a model that could not be loaded and return its exit code."""
    error = loading.exception()
    if error is None:
        return 0
    lifecycle.report(Status.FAILED, None, str(error))
    # The messages of these errors say what to do; any other error needs its traceback.
    trace = None if isinstance(error, (ModelStoreError, EngineMismatch, *EXPECTED)) else error
    _log.error("the model could not be loaded: %s", error, exc_info=trace)
    with contextlib.suppress(OSError):
        _TERMINATION_LOG.write_text(f"The model could not be loaded: {error}")
    return error.exit_code if isinstance(error, ModelStoreError) else 1
