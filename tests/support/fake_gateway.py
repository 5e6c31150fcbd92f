"""The real gateway over real TLS, in front of sessions in memory that do as a test says."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trustme

from agentcorps.agent.settings import Settings
from agentcorps.api.protocol import (
    CompleteRequest,
    Directives,
    FailRequest,
    GoodbyeRequest,
    HeartbeatRequest,
    HelloRequest,
    HelloResponse,
    NextRequest,
    NextResponse,
    ProgressRequest,
    TaskDelivery,
    TaskRef,
    WireModel,
)
from agentcorps.control.refusals import ProtocolError
from agentcorps.core.records import Key
from agentcorps.gateway import AgentCalls, Listener, build_app, serve, tls_context
from agentcorps.gateway.crowd import MOST_STRANGERS
from agentcorps.gateway.limits import Limits
from agentcorps.ports import PodIdentity

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

TOKEN = "a-good-token"
POD = PodIdentity(Key("default", "agent-0"), "pod-uid-0")


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Poll until a condition holds; the time is a guard against hangs only."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 -- any condition, also of another process
            await asyncio.sleep(0.005)


def delivery(name: str, *, attempt: int = 1, seconds: float = 60.0, **more: Any) -> TaskDelivery:
    """A task to hand to an agent; its UID is ``uid-<name>``."""
    return TaskDelivery(
        name=name,
        namespace="default",
        uid=f"uid-{name}",
        attempt=attempt,
        remaining_seconds=seconds,
        **more,
    )


class FakeIdentities:
    """Knows tokens by heart."""

    def __init__(self) -> None:
        self.tokens = {TOKEN: POD}
        self.asked: list[str] = []
        self.remembered = False
        """Whether its tokens are known without asking."""

    def known(self, token: str) -> PodIdentity | None:
        """The pod of a known token, if it is remembered."""
        return self.tokens.get(token) if self.remembered else None

    async def identify(self, token: str) -> PodIdentity | None:
        """The pod of a known token."""
        self.asked.append(token)
        return self.tokens.get(token)


@dataclass
class FakeLeadership:
    """Leads, or does not."""

    leading: bool = True
    epoch: int = 1


@dataclass(frozen=True)
class Call:
    """A call as it reached the sessions."""

    name: str
    identity: PodIdentity
    ref: TaskRef | None
    body: WireModel


@dataclass
class FakeSessions:
    """One agent's session in memory."""

    epoch: int = 1
    heartbeat_seconds: int = 1
    self_fence_seconds: int | None = None
    drain: bool = False
    queue: list[TaskDelivery] = field(default_factory=list)
    cancel: list[TaskRef] = field(default_factory=list)
    drop: list[TaskRef] = field(default_factory=list)
    refusals: dict[str, list[Exception]] = field(default_factory=lambda: defaultdict(list))
    """What calls raise first, by the call's name."""
    calls: list[Call] = field(default_factory=list)
    reports: dict[tuple[str, int], list[CompleteRequest | FailRequest]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """Reports that were taken, by uid and attempt."""
    instance: str | None = None
    open_polls: int = 0
    withdrawn: int = 0
    """Polls whose connection went away."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def answering(self) -> AgentCalls:
        """These as what the gateway calls."""
        return AgentCalls(sessions=self, reports=self, goodbyes=self)

    def bodies(self, name: str) -> list[Any]:
        """Bodies of all calls of a name, in order."""
        return [call.body for call in self.calls if call.name == name]

    def push(self, *deliveries: TaskDelivery) -> None:
        """Hand tasks to the open poll, or to the next one."""
        self.queue.extend(deliveries)
        self.changed.set()

    def ask(
        self,
        *,
        cancel: tuple[TaskRef, ...] = (),
        drop: tuple[TaskRef, ...] = (),
        drain: bool = False,
    ) -> None:
        """Put directives into the next answer."""
        self.cancel.extend(cancel)
        self.drop.extend(drop)
        self.drain = self.drain or drain
        self.changed.set()

    async def hello(self, identity: PodIdentity, body: HelloRequest) -> HelloResponse:
        """Open the session."""
        self._enter("hello", identity, body)
        self.instance = body.instance
        return HelloResponse(
            agent=identity.pod.name,
            namespace=identity.pod.namespace,
            heartbeat_seconds=self.heartbeat_seconds,
            self_fence_seconds=self.self_fence_seconds,
            **self._directives(),
        )

    async def next(self, identity: PodIdentity, body: NextRequest) -> NextResponse | None:
        """Wait for something to say."""
        self._enter("next", identity, body, instance=body.instance)
        self.open_polls += 1
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(body.wait):
                    while not (self.queue or self.cancel or self.drop or self.drain):
                        self.changed.clear()
                        await self.changed.wait()
        except asyncio.CancelledError:
            self.withdrawn += 1
            raise
        finally:
            self.open_polls -= 1
        tasks = [self.queue.pop(0) for _ in range(min(body.free, len(self.queue)))]
        directives = self._directives()
        if not (tasks or directives["cancel"] or directives["drop"] or directives["drain"]):
            return None
        return NextResponse(tasks=tasks, **directives)

    async def heartbeat(self, identity: PodIdentity, body: HeartbeatRequest) -> Directives:
        """Note a sign of life."""
        self._enter("heartbeat", identity, body, instance=body.instance)
        return Directives(**self._directives())

    async def progress(
        self, identity: PodIdentity, ref: TaskRef, body: ProgressRequest
    ) -> Directives:
        """Note progress."""
        self._enter("progress", identity, body, ref, body.instance)
        return Directives(**self._directives())

    async def complete(
        self, identity: PodIdentity, ref: TaskRef, body: CompleteRequest
    ) -> Directives:
        """Take a result."""
        self._enter("complete", identity, body, ref, body.instance)
        self.reports[ref.uid, ref.attempt].append(body)
        return Directives(epoch=self.epoch)

    async def fail(self, identity: PodIdentity, ref: TaskRef, body: FailRequest) -> Directives:
        """Take a failure."""
        self._enter("fail", identity, body, ref, body.instance)
        self.reports[ref.uid, ref.attempt].append(body)
        return Directives(epoch=self.epoch)

    async def goodbye(self, identity: PodIdentity, body: GoodbyeRequest) -> None:
        """End the session."""
        self._enter("goodbye", identity, body, instance=body.instance)
        self.instance = None

    def _enter(
        self,
        name: str,
        identity: PodIdentity,
        body: WireModel,
        ref: TaskRef | None = None,
        instance: str | None = None,
    ) -> None:
        self.calls.append(Call(name, identity, ref, body))
        if self.refusals[name]:
            raise self.refusals[name].pop(0)
        if instance is not None and instance != self.instance:
            raise ProtocolError(409, "UnknownInstance", "say hello first")

    def _directives(self) -> dict[str, Any]:
        told = {
            "epoch": self.epoch,
            "cancel": self.cancel,
            "drop": self.drop,
            "drain": self.drain,
        }
        self.cancel, self.drop = [], []
        return told


class FakeGateway:
    """The gateway and what a test changes about it."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        server = authority.issue_cert("localhost", "127.0.0.1")
        (folder / "tls.key").write_bytes(server.private_key_pem.bytes())
        (folder / "tls.crt").write_bytes(b"".join(part.bytes() for part in server.cert_chain_pems))
        self._tls = tls_context(folder / "tls.crt", folder / "tls.key")
        self._listener: Listener | None = None
        self.ca = authority.cert_pem.bytes().decode()
        self.token_file = folder / "token"
        self.token_file.write_text(TOKEN)
        self.sessions = FakeSessions()
        self.identities = FakeIdentities()
        self.leadership = FakeLeadership()
        self.limits = Limits()
        self.port = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"https://localhost:{self.port}"

    @property
    def client_tls(self) -> ssl.SSLContext:
        """A client context that trusts it."""
        return ssl.create_default_context(cadata=self.ca)

    def settings(self, grace_seconds: float = 20.0) -> Settings:
        """Settings of an agent that talks to it."""
        return Settings(self.url, self.ca, self.token_file, grace_seconds)

    def environ(self) -> dict[str, str]:
        """The same as variables, for an agent in a process of its own."""
        return {
            "AGENTCORPS_GATEWAY_URL": self.url,
            "AGENTCORPS_CA": self.ca,
            "AGENTCORPS_TOKEN_FILE": str(self.token_file),
            "AGENTCORPS_GRACE_SECONDS": "20",
        }

    async def start(self, *, body_seconds: float = 10.0, strangers: int = MOST_STRANGERS) -> None:
        """Listen; on the same port as before, if it listened before."""
        self.limits = Limits(strangers=strangers)
        app = build_app(
            self.sessions.answering,
            self.identities,
            self.leadership,
            self.limits,
            body_seconds=body_seconds,
        )
        self._listener = await serve(app, self._tls, "127.0.0.1", self.port)
        self.port = self._listener.port

    async def stop(self) -> None:
        """Stop listening and forget the session, as a new process of the operator would."""
        if self._listener is not None:
            await self._listener.close()
            self._listener = None
        self.sessions.instance = None


@contextlib.asynccontextmanager
async def fake_gateway(
    *, body_seconds: float = 10.0, strangers: int = MOST_STRANGERS
) -> AsyncIterator[FakeGateway]:
    """A gateway that listens on a free port of this machine."""
    with tempfile.TemporaryDirectory() as folder:
        gateway = FakeGateway(Path(folder))
        await gateway.start(body_seconds=body_seconds, strangers=strangers)
        try:
            yield gateway
        finally:
            await gateway.stop()
