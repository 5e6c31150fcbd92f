"""The independent watcher of the load tests: a process, a connection and code of its own.

It keeps every event as it came, which costs little while two cores are at their limit, and judges
the invariants when the load is over.
"""

import json
import re
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from support.invariants import Sight, binding_faults, ending_faults
from support.raw_api import Json, RawApi, RawApiError
from support.watcher import TASKS

_VERSION = re.compile(rb'"resourceVersion":"(\d+)"')
_GONE = 410
RETRY_SECONDS = 0.2
WATCH_SECONDS = 600


class Recorder(threading.Thread):
    """Follows the Tasks of a namespace over every outage, and remembers each event's line."""

    def __init__(self, api: RawApi, namespace: str) -> None:
        """List now; ``start`` begins to watch."""
        super().__init__(name="witness", daemon=True)
        self._api = api
        self._path = TASKS.format(namespace)
        self._version: str = api.get(self._path)["metadata"]["resourceVersion"]
        self.lines: list[bytes] = []
        self.gaps = 0
        """How often it may have missed something."""

    def run(self) -> None:
        """Watch for as long as the process lives."""
        ended = threading.Event()
        while not ended.wait(RETRY_SECONDS):
            try:
                for line in self._api.watch_lines(self._path, self._version, seconds=WATCH_SECONDS):
                    self._take(line)
            except RawApiError as error:
                self._gone(error.status)
            except OSError:
                continue

    def _take(self, line: bytes) -> None:
        found = _VERSION.search(line)
        if line.startswith(b'{"type":"ERROR"') or found is None:
            self._gone(_GONE)
            return
        self._version = found[1].decode()
        self.lines.append(line)

    def _gone(self, status: int) -> None:
        if status == _GONE:
            self.gaps += 1
            self._version = self._api.get(self._path)["metadata"]["resourceVersion"]


def sights(lines: Iterable[bytes]) -> Iterator[Sight]:
    """Read events."""
    for line in lines:
        event = json.loads(line)
        if event["type"] != "BOOKMARK":
            yield Sight.of(event["type"], event["object"])


def judge(recorder: Recorder, created: Iterable[str]) -> Json:
    """Return what breaks I1 and I3.

    Args:
        recorder: What was seen.
        created: UIDs of the Tasks that were submitted; all of them should have ended.
    """
    seen = list(sights(recorder.lines))
    known = {sight.uid for sight in seen}
    wanted = list(created)
    return {
        "events": len(seen),
        "gaps": recorder.gaps,
        "unseen": sum(uid not in known for uid in wanted),
        "bindings": binding_faults(seen, {}),
        "endings": ending_faults(seen, wanted, ()),
    }


def serve(kubeconfig: Path, namespace: str) -> None:
    """Watch, and answer each line of UIDs with a judgement, until there are no more of them."""
    recorder = Recorder(RawApi(kubeconfig), namespace)
    recorder.start()
    answer: dict[str, Any] = {"watching": True}
    print(json.dumps(answer), flush=True)  # noqa: T201 - tells the parent that it sees
    for question in sys.stdin:
        answer = judge(recorder, json.loads(question))
        print(json.dumps(answer), flush=True)  # noqa: T201 - the answer
