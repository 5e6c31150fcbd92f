"""Agent, AgentPool and ResourceQuota events: handed over as they are, decided elsewhere.

Only ``on.event`` handlers: kopf then neither annotates the objects with a copy of their spec, nor
adds a finalizer, nor writes anything at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kopf

from agentcorps.api.meta import GROUP, VERSION

Hand = Callable[[str, dict[str, Any]], None]
"""Takes the type of a watch event (ADDED, MODIFIED, DELETED) and the object."""


def register(
    registry: kopf.OperatorRegistry, *, on_agent: Hand, on_pool: Hand, on_quota: Hand
) -> None:
    """Add the handlers of all kinds to a registry. They are called in kopf's own thread."""

    @kopf.on.event(GROUP, VERSION, "agents", registry=registry, id="agent")
    async def agent(event: kopf.RawEvent, **_: Any) -> None:
        on_agent(event["type"] or "ADDED", dict(event["object"]))

    @kopf.on.event(GROUP, VERSION, "agentpools", registry=registry, id="agentpool")
    async def pool(event: kopf.RawEvent, **_: Any) -> None:
        on_pool(event["type"] or "ADDED", dict(event["object"]))

    @kopf.on.event("", "v1", "resourcequotas", registry=registry, id="resourcequota")
    async def quota(event: kopf.RawEvent, **_: Any) -> None:
        on_quota(event["type"] or "ADDED", dict(event["object"]))
