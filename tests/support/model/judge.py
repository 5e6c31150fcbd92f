"""The watcher of the invariants: judges every write of a Task and every move of an agent.

It shares no code with the operator: it reads stored objects, and what processes really did.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from agentcorps.ports import Kind

if TYPE_CHECKING:
    from agentcorps.api.protocol import TaskRef
    from agentcorps.ports import Object
    from support.control_room import ManualClock
    from support.model.process import Process

TERMINAL = frozenset({"Succeeded", "Failed", "Cancelled", "TimedOut"})
BINDING = ("attempt", "agentName", "podUID", "agentInstance")
UNREACHABLE_SECONDS = 60.0


class Broken(AssertionError):
    """An invariant does not hold."""


class Judge:
    """Knows every binding that was ever written, every process, and what each has executed."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.processes: dict[str, Process] = {}
        """By instance."""
        self.doomed: dict[str, float] = {}
        """Since when (monotonic) each pod, by UID, is being deleted or gone."""
        self.found: list[str] = []
        self._bindings: set[tuple[str, int, str]] = set()
        self._status: dict[str, dict[str, Any]] = {}
        self._limits: dict[str, int] = {}
        self._timeouts: dict[str, int] = {}
        self._starts: dict[str, int] = {}

    def blame(self, what: str) -> None:
        """Note a broken invariant; told at the end of the step, wherever it was found."""
        self.found.append(what)

    def require(self) -> None:
        """Fail if anything was found.

        Raises:
            Broken: An invariant does not hold.
        """
        if self.found:
            raise Broken("; ".join(self.found))

    def watch(self, event: str, kind: Kind, obj: Object) -> None:
        """Note which pods end."""
        if kind is Kind.POD and (event == "DELETED" or "deletionTimestamp" in obj["metadata"]):
            self.doomed.setdefault(obj["metadata"]["uid"], self._clock.seconds)

    # Writes

    def stored(self, before: Object | None, after: Object) -> None:
        """A Task was written."""
        uid, new = after["metadata"]["uid"], after["status"]
        old = {"phase": "Queued"} if before is None else before["status"]
        self._status[uid] = new
        self._limits[uid] = after["spec"]["retry"]["limit"]
        self._timeouts[uid] = after["spec"]["timeoutSeconds"]
        if _bare(old) == _bare(new):
            return
        where = f"{after['metadata']['name']} {old['phase']}->{new['phase']}"
        if old["phase"] in TERMINAL:
            self.blame(f"{where}: a terminal status was changed")
        elif new["phase"] == "Running":
            self._bound(where, uid, old, new)
        elif old["phase"] == "Running":
            self._ended(where, uid, old, new)
        elif new["phase"] == "TimedOut":
            self._gave_up(where, after, old)
        elif new.get("reason") == "QueueFull" and old.get("attempt"):
            self.blame(f"{where}: a Task that was accepted before was refused")

    def forget(self, uid: str) -> None:
        """A Task was deleted."""
        self._status.pop(uid, None)

    def _bound(self, where: str, uid: str, old: dict[str, Any], new: dict[str, Any]) -> None:
        if old["phase"] == "Running":
            if _binding(old) != _binding(new):
                self.blame(f"{where}: the binding changed without an end of the attempt")
            return
        if new["attempt"] != old.get("attempt", 0) + 1:
            self.blame(f"{where}: attempt {old.get('attempt', 0)} was followed by {new['attempt']}")
        self._bindings.add((uid, new["attempt"], new["agentInstance"]))

    def _ended(self, where: str, uid: str, old: dict[str, Any], new: dict[str, Any]) -> None:
        if _binding(old) != _binding(new):
            self.blame(f"{where}: the end of an attempt changed its binding")
        if new["phase"] == "Succeeded":
            proof = [uid, old["attempt"], old["agentInstance"]]
            if new.get("result") != proof:
                self.blame(f"{where}: {new.get('result')} is not the result of {proof}")
        elif new.get("reason") == "AgentLost":
            self._lost(where, old)
        elif new.get("reason") == "Timeout":
            self._timed_out(where, old, self._timeouts[uid])

    def _lost(self, where: str, old: dict[str, Any]) -> None:
        """An attempt may be given up only if its process is gone, or cannot be known."""
        process = self.processes[old["agentInstance"]]
        # The decision may have been made before its latest call, and written after it.
        silence = max(process.longest_silence, self._clock.seconds - process.heard)
        given_up = old["podUID"] in self.doomed and silence >= UNREACHABLE_SECONDS
        if process.alive and not process.leaving and not given_up:
            self.blame(f"{where}: AgentLost, but its process {process.instance} lives")

    def _timed_out(self, where: str, old: dict[str, Any], timeout: int) -> None:
        started = datetime.fromisoformat(old["startedAt"]).timestamp()
        if self._clock.now().wall - started < timeout - 1:
            self.blame(f"{where}: timed out too early")

    def _gave_up(self, where: str, after: Object, old: dict[str, Any]) -> None:
        ends = [attempt["finishedAt"] for attempt in old.get("attempts", ())]
        waits_since = (ends or [after["metadata"]["creationTimestamp"]])[-1]
        waited = self._clock.now().wall - datetime.fromisoformat(waits_since).timestamp()
        if waited < after["spec"]["queueTimeoutSeconds"]:
            self.blame(f"{where}: given up too early, after {waited} s")

    # Agents

    def current(self, ref: TaskRef, process: Process) -> bool:
        """Whether an attempt is the current one, and this process's own."""
        status = self._status.get(ref.uid)
        return (
            status is not None
            and status["phase"] == "Running"
            and status["attempt"] == ref.attempt
            and status["agentInstance"] == process.instance
            and status["podUID"] == process.identity.pod_uid
        )

    def started(self, ref: TaskRef, process: Process, epoch: int) -> None:
        """A process began to work on an attempt, delivered by a leader of this epoch."""
        if (ref.uid, ref.attempt, process.instance) not in self._bindings:
            self.blame(f"{ref} was delivered to {process.instance} without a written binding")
        if epoch < process.highest_epoch:
            self.blame(f"{ref} was taken from epoch {epoch} after {process.highest_epoch}")
        working = [one for one in process.working if self.current(one, process)]
        if len(working) > process.slots:
            self.blame(f"{process.instance} works on {len(working)} of {process.slots} slots")
        self._starts[ref.uid] = self._starts.get(ref.uid, 0) + 1
        if self._starts[ref.uid] > 1 and self._limits.get(ref.uid) == 0:
            self.blame(f"{ref} was executed twice, though its retry.limit is 0")

    def refused(self, ref: TaskRef, process: Process, why: str) -> None:
        """A leader told a process that an attempt is not its own."""
        if self.current(ref, process):
            self.blame(f"{process.instance} was told {why} of its current {ref}")

    def drained(self, process: Process) -> None:
        """A leader told a process to take no more tasks: only because its pod ends."""
        if process.identity.pod_uid not in self.doomed:
            self.blame(f"{process.instance} was told to drain for no reason")

    def acknowledged(self, ref: TaskRef, process: Process) -> None:
        """A leader took a result: it must be stored, unless the Task was deleted since."""
        status = self._status.get(ref.uid)
        stored = status is None or status.get("result") == [
            ref.uid,
            ref.attempt,
            process.instance,
        ]
        if not stored:
            self.blame(f"the result of {ref} was acknowledged and is not stored")

    def unfinished(self) -> list[str]:
        """UIDs of the Tasks that have not ended."""
        return [uid for uid, one in self._status.items() if one["phase"] not in TERMINAL]


def _binding(status: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(status.get(name) for name in BINDING)


def _bare(status: dict[str, Any]) -> dict[str, Any]:
    """A status without what follows edits of the spec."""
    return {
        name: value
        for name, value in status.items()
        if name not in {"observedGeneration", "conditions"}
    }
