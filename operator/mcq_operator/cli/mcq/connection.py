"""The cluster of KUBECONFIG's context, and the namespace of the arguments."""

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kubernetes.aio.config import ConfigException

from mcq_operator.client import Client, ClusterError, connect, current_namespace

from .errors import CommandError


@asynccontextmanager
async def connected(arguments: argparse.Namespace) -> AsyncIterator[Client]:
    """Yield a client of the cluster; turn its errors into CommandError."""
    try:
        async with await connect(connections=1, context=arguments.context) as api_client:
            yield Client(api_client)
    except (ClusterError, ConfigException) as error:
        raise CommandError(str(error)) from error


def namespace_of(arguments: argparse.Namespace) -> str:
    """Return the namespace that the arguments name, or the context's."""
    return arguments.namespace or current_namespace(arguments.context)
