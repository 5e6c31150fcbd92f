"""Fetches inputs from Secrets and ConfigMaps, and puts results into Secrets.

Each is one request for one name, made when a Task is handed over or reported. Nothing is listed,
watched or kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import structlog

from agentcorps.api.meta import TaskReason
from agentcorps.control.drafts import Draft, NotApplied
from agentcorps.core import lifecycle
from agentcorps.core.digest import canonical_digest, canonical_json
from agentcorps.core.payloads import (
    Access,
    StoredResult,
    Unusable,
    input_value,
    require_own,
    result_object,
)
from agentcorps.core.records import Key
from agentcorps.ports import Conflict, Kind, NotFound, Object, Refused, Unavailable

if TYPE_CHECKING:
    from agentcorps.control.unreadable import Unreadable
    from agentcorps.core.records import InputSource, TaskRecord
    from agentcorps.core.state import State
    from agentcorps.ports import Clock, Cluster

log = structlog.get_logger(__name__)

_KINDS: Final = {kind.kind: kind for kind in (Kind.SECRET, Kind.CONFIG_MAP)}


class Payloads:
    """Inputs and results that are not in the Task."""

    def __init__(
        self,
        state: State,
        cluster: Cluster,
        clock: Clock,
        unreadable: Unreadable,
        access: Access,
    ) -> None:
        """``access`` bounds what may be read."""
        self._state = state
        self._cluster = cluster
        self._clock = clock
        self._unreadable = unreadable
        self._access = access

    async def fetch(self, record: TaskRecord, source: InputSource) -> dict[str, Any]:
        """Read the input of a Task.

        Raises:
            Unusable: It cannot be had, or is none.
            Unavailable: The API server does not answer.
        """
        key = Key(record.key.namespace, source.name)
        try:
            stored = await self._cluster.get(_KINDS[source.kind], key)
        except NotFound:
            raise Unusable(
                TaskReason.INPUT_NOT_FOUND,
                f"there is no {source.kind} {key.name} in namespace {key.namespace}: create it,"
                f" with the input as a JSON object under the key {source.key}",
                waits=True,
            ) from None
        except Refused as error:
            raise Unusable(
                TaskReason.INPUT_NOT_FOUND,
                f"the operator may not read {source.kind} {key.name}: {error.reason}",
                waits=True,
            ) from None
        return input_value(source, stored, label_required=self._access is Access.LABELLED)

    async def before_binding(
        self, before: TaskRecord, after: TaskRecord
    ) -> tuple[Draft, dict[str, Any] | None]:
        """Get what a Task needs before it is bound; without that it is not bound.

        Returns:
            What to write, which is the binding or the Task's end, and the fetched input.

        Raises:
            NotApplied: Something is missing: the Task rests.
        """
        try:
            self._require_allowed()
            if before.result_secret:
                await self._require_room(before)
            if before.input_from is None:
                return Draft(after), None
            return Draft(after), await self.fetch(before, before.input_from)
        except Unavailable as error:
            self._rest(before, None, str(error))
            raise NotApplied(str(error)) from error
        except Unusable as error:
            if error.waits:
                self._rest(before, error.reason, error.message)
                raise NotApplied(error.message) from error
            now = self._clock.now()
            return Draft(lifecycle.refuse(before, error.reason, error.message, now)), None

    async def keep(self, before: TaskRecord, after: TaskRecord, result: object) -> Draft:
        """Put a result into the Task's Secret, before the Task is written as succeeded.

        Returns:
            What to write: the success with the Secret's name, or the failure of a Task whose
            Secret is another's or refused.

        Raises:
            NotApplied: The Task or the Secret was written by others: the report is judged anew.
            ClusterError: The API server did not answer; the same report may come again.
        """
        content = canonical_json(result)
        secret = result_object(before, content)
        try:
            self._require_allowed()
            await self._store(before, secret)
        except Unusable as error:
            return Draft(_failed(before, error, self._clock))
        except Refused as error:
            refusal = Unusable(
                TaskReason.RESULT_REFUSED,
                f"the API server refused Secret {before.result_secret} for the result:"
                f" {error.status} {error.reason}",
            )
            return Draft(_failed(before, refusal, self._clock))
        return Draft(after, StoredResult(before.result_secret, canonical_digest(result)))

    async def _store(self, record: TaskRecord, secret: Object) -> None:
        try:
            await self._cluster.create(Kind.SECRET, record.key.namespace, secret)
        except Conflict:
            await self._overwrite(record, secret)

    async def _overwrite(self, record: TaskRecord, secret: Object) -> None:
        """Replace what an earlier attempt, or an earlier try of this report, has left."""
        key = Key(record.key.namespace, record.result_secret)
        try:
            stored = await self._cluster.get(Kind.SECRET, key)
            require_own(stored, record)
            if stored.get("data") == secret["data"] and _attempt(stored) == _attempt(secret):
                return
            await self._require_current(record)
            metadata = stored["metadata"] | {
                "annotations": stored["metadata"]["annotations"] | secret["metadata"]["annotations"]
            }
            await self._cluster.replace(
                Kind.SECRET, key, stored | {"metadata": metadata, "data": secret["data"]}
            )
        except (Conflict, NotFound) as error:
            raise NotApplied(f"Secret {key} was written by others") from error

    async def _require_current(self, record: TaskRecord) -> None:
        """Let nobody overwrite who is late: the Task must still be as this report was judged by."""
        try:
            stored = await self._cluster.get(Kind.TASK, record.key)
        except NotFound:
            self._state.forget_task(record.uid)
            raise
        fresh = self._unreadable.task(stored)
        if fresh is None or fresh.resource_version != record.resource_version:
            if fresh is not None:
                self._state.observe_task(fresh, self._clock.now())
            raise NotApplied(f"Task {record.key} was written by others")

    async def _require_room(self, record: TaskRecord) -> None:
        """Find out before the work whether its result can be stored."""
        key = Key(record.key.namespace, record.result_secret)
        try:
            require_own(await self._cluster.get(Kind.SECRET, key), record)
        except NotFound:
            return
        except Refused as error:
            raise Unusable(
                TaskReason.RESULT_REFUSED,
                f"the operator may not read Secret {key.name}, which is to get the result:"
                f" {error.reason}",
                waits=True,
            ) from None

    def _require_allowed(self) -> None:
        if self._access is Access.OFF:
            raise Unusable(
                TaskReason.SECRETS_DISABLED,
                "this installation neither reads nor writes Secrets for Tasks (secrets.enabled of"
                " its chart): use spec.input, and do without spec.resultTo",
            )

    def _rest(self, record: TaskRecord, reason: TaskReason | None, message: str) -> None:
        wall = self._clock.now().wall
        if self._state.rests.note(record.uid, reason, message, wall):
            log.info("task cannot be bound yet", task=str(record.key), why=message)


def _failed(record: TaskRecord, error: Unusable, clock: Clock) -> TaskRecord:
    return lifecycle.fail(record, error.reason, error.message, clock.now())


def _attempt(secret: Object) -> object:
    return secret["metadata"].get("annotations")
