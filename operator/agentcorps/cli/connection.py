"""Opening the cluster; the Kubernetes client is loaded only here, so that help is quick."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentcorps.cli.cluster import Cluster
    from agentcorps.cli.options import Connection


@contextmanager
def connect(options: Connection) -> Iterator[Cluster]:
    """Open the cluster that the options name; close its connections at the end.

    Raises:
        InputError: There is no usable kubeconfig, or the namespace cannot be one.
    """
    from agentcorps.cli.cluster import open_cluster  # noqa: PLC0415 (it is slow to load)

    with open_cluster(options) as cluster:
        yield cluster
