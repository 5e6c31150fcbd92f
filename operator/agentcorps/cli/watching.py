"""`get --watch`: a line for each change, until it is interrupted."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NoReturn

from agentcorps.cli.errors import UnreachableError
from agentcorps.cli.options import Format
from agentcorps.cli.output import emit, full_name, note, one_row, print_objects
from agentcorps.cli.waiting import PATIENCE_SECONDS, PAUSE_SECONDS, WATCH_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentcorps.api.kinds import Kind
    from agentcorps.cli.cluster import Cluster
    from agentcorps.cli.model import Object
    from agentcorps.cli.output import Column

NARROWEST: Final = 8
"""Least width of a column: what comes later should fit under what stands there."""


class Watcher:
    """Prints objects as they are, and each time that one of them changes."""

    def __init__(self, cluster: Cluster, kind: Kind, namespace: str | None, style: Format) -> None:
        """Prepare to watch a kind in a namespace, or in all of them."""
        self._cluster = cluster
        self._kind = kind
        self._namespace = namespace
        self._style = style
        self._versions: dict[str, str] = {}
        self._widths: list[int] = []

    def run(self, columns: Sequence[Column], **query: str | None) -> NoReturn:
        """Print until interrupted; the query takes selectors.

        Raises:
            CliError: The API server refuses, or is away for a minute.
        """
        shown = [each for each in columns if self._style is Format.WIDE or not each.wide]
        reached = time.monotonic()
        while True:
            try:
                self._round(shown, query)
                reached = time.monotonic()
            except UnreachableError as error:
                if time.monotonic() - reached > PATIENCE_SECONDS:
                    raise
                note(f"error: {error}")
            time.sleep(PAUSE_SECONDS)

    def _round(self, columns: Sequence[Column], query: dict[str, str | None]) -> None:
        """List, print what is news, and watch for a while."""
        version = ""
        for page in self._cluster.pages(self._kind, self._namespace, **query):
            version = version or page["metadata"]["resourceVersion"]
            for item in page["items"]:
                self._show(item, columns)
        changes = self._cluster.watch(self._kind, self._namespace, version, WATCH_SECONDS, **query)
        for _, item in changes:
            self._show(item, columns)

    def _show(self, item: Object, columns: Sequence[Column]) -> None:
        uid, version = item["metadata"]["uid"], item["metadata"]["resourceVersion"]
        if self._versions.get(uid) == version:
            return
        self._versions[uid] = version
        whole = {"apiVersion": self._kind.api_version, "kind": self._kind.kind, **item}
        if self._style is Format.NAME:
            emit(full_name(whole))
        elif self._style in {Format.TABLE, Format.WIDE}:
            self._row(whole, columns)
        else:
            print_objects([whole], self._style, (), color=False, single=True)

    def _row(self, item: Object, columns: Sequence[Column]) -> None:
        cells = one_row(columns, item)
        if not self._widths:
            headers = [column.header for column in columns]
            self._widths = [max(NARROWEST, len(head)) for head in headers]
            self._widen(cells)
            self._print(headers)
        self._widen(cells)
        self._print(cells)

    def _widen(self, cells: Sequence[str]) -> None:
        self._widths = [max(pair) for pair in zip(self._widths, map(len, cells), strict=True)]

    def _print(self, cells: Sequence[str]) -> None:
        padded = (cell.ljust(width) for cell, width in zip(cells, self._widths, strict=True))
        emit("   ".join(padded).rstrip())
