"""One process of an agent: what it runs, and its calls. Results are kept until they are taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentcorps.agent.reporter import FINAL
from agentcorps.agent.term import Term
from agentcorps.api.protocol import (
    CompleteRequest,
    Directives,
    FailRequest,
    GoodbyeRequest,
    HeartbeatRequest,
    HelloRequest,
    NextRequest,
    NextResponse,
    TaskRef,
)
from agentcorps.control.refusals import ProtocolError
from support.model.network import Way

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Iterable

    from agentcorps.api.protocol import WireModel
    from agentcorps.gateway.calls import AgentCalls
    from agentcorps.ports import PodIdentity
    from support.model.judge import Judge
    from support.model.network import Network
    from support.model.quiet_loop import QuietLoop
    from support.model.replica import Replica

    Ask = Callable[[AgentCalls], Awaitable[WireModel | None]]

POLL_SECONDS = 30.0


@dataclass(eq=False, slots=True)
class Work:
    """One attempt in this process."""

    ref: TaskRef
    outcome: CompleteRequest | FailRequest | None = None
    """Known once the work is done; then it is reported until there is a final answer."""
    stopped: bool = False
    call: Call | None = None


class Call:
    """One request to one replica, and whether its connection is still open."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self.open = True
        self.task: asyncio.Task[None] | None = None

    def close(self) -> None:
        """The agent's end is closed; the replica notices when its code runs."""
        self.open = False
        if self.task is not None:
            self.replica.when_running(self.task.cancel)


class Process:
    """An agent's process: at most one session call at a time, and a report for each outcome."""

    def __init__(
        self,
        identity: PodIdentity,
        instance: str,
        slots: int,
        world: tuple[QuietLoop, Network, Judge],
    ) -> None:
        self.identity = identity
        self.instance = instance
        self.slots = slots
        self._loop, self._network, self._judge = world
        self.alive = True
        self.leaving = False
        self.hangs = False
        self.highest_epoch = 0
        self.heard = world[0].time()
        """When (monotonic) its last call reached a leader; its start counts, too."""
        self.longest_silence = 0.0
        """Seconds between two of its calls."""
        self.works: dict[TaskRef, Work] = {}
        self.session: Call | None = None
        self._term = Term()
        self._connected = False
        self._draining = False
        self._seen: set[TaskRef] = set()
        self._judge.processes[instance] = self

    @property
    def working(self) -> list[TaskRef]:
        """Attempts that it executes now."""
        return [ref for ref, one in self.works.items() if one.outcome is None and not one.stopped]

    # What it does by itself

    def turn(self, replica: Replica) -> None:
        """Make the next session call, if none is open."""
        if self.session is not None or self.hangs or not self.alive:
            return
        running = list(self.works)
        if self.leaving:
            goodbye = GoodbyeRequest(instance=self.instance)
            self._call(
                replica, lambda calls: calls.goodbyes.goodbye(self.identity, goodbye), self._left
            )
        elif not self._connected:
            hello = HelloRequest(
                protocol_version=1, instance=self.instance, slots=self.slots, running=running
            )
            self._call(
                replica, lambda calls: calls.sessions.hello(self.identity, hello), self._greeted
            )
        elif len(running) < self.slots and not self._draining:
            poll = NextRequest(
                instance=self.instance,
                free=self.slots - len(running),
                wait=POLL_SECONDS,
                running=running,
            )
            self._call(
                replica, lambda calls: calls.sessions.next(self.identity, poll), self._answered
            )
        else:
            beat = HeartbeatRequest(instance=self.instance, running=running)
            self._call(
                replica, lambda calls: calls.sessions.heartbeat(self.identity, beat), self._answered
            )

    def hang_up(self) -> None:
        """Give the session call up: its answer took too long."""
        if self.session is not None:
            self.session.close()
            self.session = None
            self._connected = False

    def finish(self, work: Work, *, good: bool, retryable: bool = True) -> None:
        """The work on an attempt is done."""
        if good:
            proof = [work.ref.uid, work.ref.attempt, self.instance]
            work.outcome = CompleteRequest(instance=self.instance, result=proof)
        else:
            work.outcome = FailRequest(instance=self.instance, retryable=retryable)

    def report(self, work: Work, replica: Replica) -> None:
        """Send an outcome, if it is not under way."""
        outcome = work.outcome
        if outcome is None or work.call is not None or self.hangs or not self.alive:
            return
        if isinstance(outcome, CompleteRequest):
            done = outcome

            def ask(calls: AgentCalls) -> Awaitable[WireModel | None]:
                return calls.reports.complete(self.identity, work.ref, done)
        else:
            failed = outcome

            def ask(calls: AgentCalls) -> Awaitable[WireModel | None]:
                return calls.reports.fail(self.identity, work.ref, failed)

        work.call = Call(replica)
        self._send(work.call, self._judged(work, ask), lambda answer: self._reported(work, answer))

    def _judged(self, work: Work, ask: Ask) -> Ask:
        """A failure may be taken only from the process that holds the current attempt."""

        async def asked(calls: AgentCalls) -> WireModel | None:
            stale = not self._judge.current(work.ref, self)
            answer = await ask(calls)
            if stale and isinstance(work.outcome, FailRequest):
                self._judge.blame(f"a stale failure of {work.ref} was taken")
            return answer

        return asked

    def leave(self) -> None:
        """SIGTERM with no time left: what it works on is given back."""
        self.leaving = True
        self.hang_up()
        for work in self.works.values():
            if work.call is not None:
                work.call.close()
        self.works.clear()

    def die(self) -> None:
        """The process is gone, and its connections with it."""
        self.alive = False
        self.leave()

    # Calls

    def _call(
        self,
        replica: Replica,
        ask: Ask,
        take: Callable[[WireModel | ProtocolError | None], None],
    ) -> None:
        call = self.session = Call(replica)

        def taken(answer: WireModel | ProtocolError | OSError | None) -> None:
            self.session = None
            if isinstance(answer, OSError):
                self._connected = False
            else:
                take(answer)

        self._send(call, ask, taken)

    def _send(
        self,
        call: Call,
        ask: Ask,
        take: Callable[[WireModel | ProtocolError | OSError | None], None],
    ) -> None:
        async def talk() -> None:
            answer: WireModel | ProtocolError | OSError | None
            try:
                answer = await self._exchange(call, ask)
            except OSError as error:
                answer = error
            if call.open:
                call.open = False
                take(answer)

        call.task = self._loop.begin(talk())

    async def _exchange(self, call: Call, ask: Ask) -> WireModel | ProtocolError | None:
        if call.replica.dead or not await self._network.hop(Way.TO_GATEWAY, call.replica):
            raise ConnectionError
        if call.replica.duty.leading:
            self.longest_silence = max(self.longest_silence, self._loop.time() - self.heard)
            self.heard = self._loop.time()
        answer: WireModel | ProtocolError | None
        try:
            answer = await ask(call.replica.room.calls)
        except ProtocolError as error:
            answer = error
        if isinstance(answer, NextResponse) and answer.tasks and not call.replica.term.leading:
            self._judge.blame("a replica handed out tasks that does not lead")
        self._judge_verdicts(answer)
        if not await self._network.hop(Way.FROM_GATEWAY, call.replica):
            raise ConnectionError
        return answer

    def _judge_verdicts(self, answer: WireModel | ProtocolError | None) -> None:
        """What a leader says of an attempt must be true when it says so."""
        if isinstance(answer, Directives):
            for ref in [*answer.cancel, *answer.drop]:
                self._judge.refused(ref, self, "to stop")
            if answer.drain:
                self._judge.drained(self)

    # Answers

    def _greeted(self, answer: WireModel | ProtocolError | None) -> None:
        if isinstance(answer, Directives) and self._term.accepts_hello(
            answer.epoch, self._loop.time()
        ):
            self._connected = True
            self.highest_epoch = answer.epoch
            self._obey(answer)

    def _answered(self, answer: WireModel | ProtocolError | None) -> None:
        if isinstance(answer, ProtocolError):
            self._connected = False
        elif isinstance(answer, Directives) and self._term.accepts(answer.epoch):
            self._obey(answer)
            if isinstance(answer, NextResponse):
                self._start((TaskRef(uid=t.uid, attempt=t.attempt) for t in answer.tasks), answer)
            self.highest_epoch = max(self.highest_epoch, answer.epoch)

    def _reported(self, work: Work, answer: WireModel | ProtocolError | OSError | None) -> None:
        work.call = None
        if isinstance(answer, Directives):
            if isinstance(work.outcome, CompleteRequest):
                self._judge.acknowledged(work.ref, self)
            if self._term.accepts(answer.epoch):
                self._obey(answer)
                self.highest_epoch = max(self.highest_epoch, answer.epoch)
        elif not (isinstance(answer, ProtocolError) and answer.status in FINAL):
            return
        else:
            self._judge.refused(work.ref, self, f"{answer.status} {answer.title}")
        del self.works[work.ref]

    def _left(self, answer: WireModel | ProtocolError | None) -> None:
        """Its goodbye was answered, one way or the other."""
        del answer
        self.alive = False

    def _obey(self, answer: Directives) -> None:
        for ref in [*answer.cancel, *answer.drop]:
            work = self.works.get(ref)
            if work is not None and work.outcome is None:
                del self.works[ref]
        self._draining = answer.drain

    def _start(self, refs: Iterable[TaskRef], answer: Directives) -> None:
        for ref in refs:
            if ref not in self._seen:
                self._seen.add(ref)
                self.works[ref] = Work(ref)
                self._judge.started(ref, self, answer.epoch)
