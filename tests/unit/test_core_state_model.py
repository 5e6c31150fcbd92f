"""The state against a naive model: whatever happens, it follows from what stands."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agentcorps.api.meta import AgentPhase, TaskPhase
from agentcorps.core import lifecycle
from agentcorps.core.matching import next_binding
from agentcorps.core.records import AgentRecord, Key, PodRecord, Session, Target, TaskRecord
from agentcorps.core.state import State
from support.decide import bindings
from support.strategies import BIG, NOW, POOLS, SKILLS, Seat, a_seat, a_task

TASKS = st.integers(0, 2)
AGENTS = st.integers(0, 1)
PICK = st.integers(0, 2**16)
WHOM: list[dict[str, Any]] = [
    {"pool": "crew"},
    {"pool": "band"},
    {"pool": "", "selector": ()},
    {"pool": "", "selector": BIG},
]
LABELS = [{}, {"size": "big"}, {"size": "small"}]
POOL_KEYS = [Key("east", pool) for pool in POOLS]


class StateModel(RuleBasedStateMachine):
    """Objects come, change, go and are written in any order; the model keeps dictionaries."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State()
        self.version = 1_000
        self.incarnation = 0
        self.tasks: dict[Key, TaskRecord] = {}
        self.assumed: dict[str, TaskRecord] = {}
        self.reserved: dict[str, Key] = {}
        self.held: dict[str, Key] = {}
        self.agents: dict[Key, AgentRecord] = {}
        self.pods: dict[Key, PodRecord] = {}
        self.sessions: dict[Key, Session] = {}
        self.offers: dict[Key, int] = {}
        for number in range(2):
            self.observe_agent(number, 2, anew=True)
            self.observe_pod(number, deleting=False, anew=False)
            self.hello(number, 2)
            self.offer(number, 2)

    def next_version(self) -> int:
        """Return a resource version higher than all before."""
        self.version += 1
        return self.version

    # What is observed

    @rule(number=TASKS, code=PICK, anew=st.booleans())
    def observe_task(self, number: int, code: int, *, anew: bool) -> None:
        """A Task is created (or re-created under its name), or its cancel is set."""
        key = Key("east", f"task-{number}")
        known = self.tasks.get(key)
        if known is None or anew:
            self.incarnation += 1
            record = a_task(
                uid=f"uid-{self.incarnation}",
                key=key,
                **WHOM[code % len(WHOM)],
                requires=frozenset(SKILLS[: code % 4]),
                priority=code % 3,
                input_bytes=70_000 if code % 16 == 15 else 2,
            )
        else:
            record = replace(known, cancel=code % 4 == 0)
        self._observe(replace(record, resource_version=self.next_version()))

    def _observe(self, record: TaskRecord) -> None:
        """Observe a record that is news."""
        assert self.state.observe_task(record, NOW)
        self.tasks[record.key] = record

    @rule(number=TASKS, back=st.integers(0, 5))
    def observe_old_news(self, number: int, back: int) -> None:
        """An event of an older or the same version changes nothing."""
        known = self.tasks.get(Key("east", f"task-{number}"))
        if known is not None:
            old = replace(known, cancel=True, resource_version=known.resource_version - back)
            assert not self.state.observe_task(old, NOW)

    @rule(number=TASKS)
    def forget_task(self, number: int) -> None:
        """A Task is deleted; an answer that comes late does not bring it back."""
        known = self.tasks.pop(Key("east", f"task-{number}"), None)
        if known is not None:
            self.state.forget_task(known.uid)
            assert not self.state.observe_task(known, NOW)

    @rule(kept=st.sets(TASKS))
    def relist_tasks(self, kept: set[int]) -> None:
        """A list replaces what is known; what was written after the list stays."""
        listed = [self.tasks[key] for key in self.tasks if int(key.name[-1]) in kept]
        fresh = a_task(uid="late", key=Key("east", "late"), resource_version=self.version + 5)
        self.state.observe_task(fresh, NOW)
        self.state.replace_tasks(listed, NOW, list_rv=self.version)
        assert "late" in self.state.tasks
        self.state.forget_task("late")
        self.version += 5
        self.tasks = {record.key: record for record in listed}

    @rule(number=AGENTS, code=PICK, anew=st.booleans())
    def observe_agent(self, number: int, code: int, *, anew: bool) -> None:
        """An Agent is created, or something about it changes."""
        key = Key("east", f"crew-{number}")
        known = self.agents.get(key)
        if known is None or anew:
            self.incarnation += 1
            uid = f"agent-uid-{self.incarnation}"
        else:
            uid = known.uid
        phase = AgentPhase.UNHEALTHY if code % 5 == 4 else AgentPhase.IDLE
        record = a_seat(
            number,
            uid=uid,
            resource_version=self.next_version(),
            pool=POOLS[code % 2],
            capabilities=frozenset(SKILLS[: 1 + code % 3]),
            labels=LABELS[code % len(LABELS)],
            slots=1 + code % 2,
            draining_since=1.0 if code % 7 == 6 else None,
            phase=phase,
        ).agent
        assert self.state.observe_agent(record)
        self.agents[key] = record

    @rule(number=AGENTS, right=st.booleans())
    def forget_agent(self, number: int, *, right: bool) -> None:
        """An Agent is deleted; the deletion of an earlier one of that name changes nothing."""
        key = Key("east", f"crew-{number}")
        known = self.agents.get(key)
        if known is None or not right:
            self.state.forget_agent(key, "an-earlier-uid")
        else:
            self.state.forget_agent(key, known.uid)
            del self.agents[key]

    @rule(number=AGENTS, deleting=st.booleans(), anew=st.booleans())
    def observe_pod(self, number: int, *, deleting: bool, anew: bool) -> None:
        """A Pod is created, or is being deleted."""
        self.incarnation += anew
        pod = a_seat(number).pod
        assert pod is not None
        uid = f"pod-uid-{number}-{self.incarnation if anew else 0}"
        record = replace(pod, uid=uid, deleting=deleting, resource_version=self.next_version())
        assert self.state.observe_pod(record)
        self.pods[record.key] = record

    @rule(number=AGENTS)
    def forget_pod(self, number: int) -> None:
        """A Pod is gone."""
        key = Key("east", f"crew-{number}")
        self.pods.pop(key, None)
        self.state.forget_pod(key)

    @rule(kept=st.sets(AGENTS))
    def relist_pods(self, kept: set[int]) -> None:
        """A list of Pods replaces what is known."""
        self.pods = {key: pod for key, pod in self.pods.items() if int(key.name[-1]) in kept}
        self.state.replace_pods(self.pods.values(), self.version)

    # What agents do

    @rule(number=AGENTS, code=PICK)
    def hello(self, number: int, code: int) -> None:
        """A process of the current pod says hello."""
        key = Key("east", f"crew-{number}")
        pod = self.pods.get(key)
        if pod is None:
            return
        capabilities = frozenset(SKILLS[: 1 + code % 3])
        session = Session(
            key, pod.uid, f"instance-{code}", 1 + code % 3, capabilities, NOW.monotonic
        )
        self.state.open_session(session)
        self.sessions[key] = session
        self.offers.pop(key, None)

    @rule(number=AGENTS, free=st.integers(0, 3))
    def offer(self, number: int, free: int) -> None:
        """A poll opens."""
        key = Key("east", f"crew-{number}")
        self.state.open_poll(key, free, NOW)
        if key in self.sessions:
            self.sessions[key] = replace(self.sessions[key], polling=True)
            self.offers[key] = free

    @rule(number=AGENTS, what=st.sampled_from(["withdraw", "leave", "close"]))
    def end_something(self, number: int, what: str) -> None:
        """A poll closes, a process says goodbye, a session ends."""
        key = Key("east", f"crew-{number}")
        session = self.sessions.get(key)
        if what == "close":
            self.state.close_session(key)
            self.sessions.pop(key, None)
            self.offers.pop(key, None)
        elif what == "leave":
            self.state.leave(key)
            if session is not None:
                self.sessions[key] = replace(session, leaving=True)
        else:
            self.state.close_poll(key, NOW)
            self.offers.pop(key, None)
            if session is not None:
                self.sessions[key] = replace(session, polling=False)

    # Writes

    @rule()
    def bind(self) -> None:
        """All bindings that are possible begin to be written."""
        for found in bindings(self.state):
            task = self.state.tasks[found.task_uid]
            running = lifecycle.bind(task, found.agent, found.pod_uid, found.instance, NOW)
            self.assumed[task.uid] = running
            self.reserved[task.uid] = found.agent

    @rule(number=TASKS, end=st.sampled_from(["succeed", "lose", "cancel"]))
    def end_attempt(self, number: int, end: str) -> None:
        """The end of a running attempt begins to be written."""
        record = self.tasks.get(Key("east", f"task-{number}"))
        if record is None or record.phase is not TaskPhase.RUNNING or record.uid in self.assumed:
            return
        if end == "lose":
            after = lifecycle.requeue(record, "AgentLost", "", counted=True, now=NOW)
        else:
            after = (lifecycle.succeed if end == "succeed" else lifecycle.cancel)(record, NOW)
        self.state.assume(after)
        self.assumed[record.uid] = after
        self.held[record.uid] = record.agent

    @rule(code=PICK, well=st.booleans())
    def settle(self, code: int, *, well: bool) -> None:
        """A write ends, well or not."""
        if not self.assumed:
            return
        uid = sorted(self.assumed)[code % len(self.assumed)]
        after = self.assumed.pop(uid)
        known = self.tasks.get(after.key)
        well = well and known is not None and known.uid == uid
        if well:
            cancel = known is not None and known.cancel
            self._observe(replace(after, cancel=cancel, resource_version=self.next_version()))
        agent = self.reserved.pop(uid, None)
        self.held.pop(uid, None)
        if well and agent in self.offers:
            self.offers[agent] -= 1
        self.state.settle(uid)

    # What must hold

    def effective(self) -> list[TaskRecord]:
        """Tasks as the writes in flight will leave them."""
        return [self.assumed.get(record.uid, record) for record in self.tasks.values()]

    def seat(self, key: Key, reserved: Counter[Key]) -> Seat:
        """All about an agent."""
        offer = self.offers.get(key, 0) - reserved[key]
        return Seat(self.agents[key], self.pods.get(key), self.sessions.get(key), offer)

    @invariant()
    def objects_are_those_of_the_model(self) -> None:
        """What is known is what was observed last and not deleted."""
        assert dict(self.state.tasks) == {record.uid: record for record in self.tasks.values()}
        assert dict(self.state.agents) == self.agents
        assert dict(self.state.pods) == self.pods
        assert dict(self.state.sessions) == self.sessions
        for record in self.tasks.values():
            assert self.state.task_at(record.key) == record
            assert self.state.in_flight(record.uid) == (record.uid in self.assumed)

    @invariant()
    def derived_views_are_those_of_the_model(self) -> None:
        """Counts, bindings and memberships follow from the objects and the writes in flight."""
        phases = Counter((record.pool_key, record.phase) for record in self.effective())
        for pool in POOL_KEYS:
            assert self.state.queued(pool) == phases[pool, TaskPhase.QUEUED]
            assert self.state.running(pool) == phases[pool, TaskPhase.RUNNING]
            mine = [record for record in self.effective() if record.pool_key == pool]
            queued = [one.requires for one in mine if one.phase is TaskPhase.QUEUED]
            for served in (frozenset(), *queued):
                fits = sum(requires <= served for requires in queued)
                assert self.state.fitting(pool, served) == fits
            new = {one.uid for one in mine if one.phase is TaskPhase.QUEUED and not one.attempt}
            assert set(self.state.ledger.newest(pool, 99)) == new
            assert self.state.ledger.untried(pool) == len(new)
            done = {one.uid for one in mine if one.terminal}
            assert set(self.state.ledger.oldest(pool, 99)) == done
            assert self.state.ledger.finished(pool) == len(done)
            members = [agent for agent in self.agents.values() if agent.pool_key == pool]
            assert set(map(_uid, self.state.agents_of(pool))) == set(map(_uid, members))
        for number in range(2):
            key = Key("east", f"crew-{number}")
            assert set(map(_uid, self.state.bound_to(key))) == self.running_on(key)

    def running_on(self, key: Key) -> set[str]:
        """UIDs of the Tasks that run on an agent."""
        return {
            record.uid
            for record in self.effective()
            if record.phase is TaskPhase.RUNNING and record.agent == key
        }

    def used_on(self, key: Key) -> int:
        """Places of an agent that are taken: by what runs, and by what has not quite ended."""
        return len(self.running_on(key)) + list(self.held.values()).count(key)

    @invariant()
    def free_places_are_those_of_the_model(self) -> None:
        """What an agent can take follows from slots, bindings, its poll and its fitness."""
        reserved = Counter(self.reserved.values())
        for key in self.agents:
            vacancy = self.state.vacancy(key)
            session = self.sessions.get(key)
            if session is None:
                assert vacancy is None
                continue
            assert vacancy is not None
            used = self.used_on(key)
            assert (vacancy.used, vacancy.capabilities) == (used, session.capabilities)
            assert vacancy.free == self.seat(key, reserved).places(used)

    @invariant()
    def abilities_are_those_of_the_model(self) -> None:
        """A pool can do what one of its agents can, by its process or, without one, by its spec."""
        for pool in POOL_KEYS:
            able = [
                self.sessions[key].capabilities if key in self.sessions else agent.capabilities
                for key, agent in self.agents.items()
                if agent.pool_key == pool
            ]
            for count in range(4):
                requires = frozenset(SKILLS[:count])
                assert self.state.can(Target(*pool), requires) == any(
                    requires <= one for one in able
                )

    @invariant()
    def nothing_is_left_to_bind_but_what_is_found(self) -> None:
        """A binding is found if there is any, and it is a right one."""
        reserved = Counter(self.reserved.values())
        seats = {key: self.seat(key, reserved) for key in self.agents}
        free = [seat for key, seat in seats.items() if seat.places(self.used_on(key))]
        waiting = [record for record in self.tasks.values() if self._waits(record)]
        found = next_binding(self.state, NOW)
        if found is None:
            assert not [task for task in waiting if any(seat.fits(task) for seat in free)]
            return
        task, seat = self.state.tasks[found.task_uid], seats[found.agent]
        assert task in waiting
        assert seat in free
        assert seat.fits(task)

    @invariant()
    def bindings_under_way_are_counted(self) -> None:
        """The number of bindings that are being written is that of the model."""
        assert self.state.binding == len(self.reserved)

    def _waits(self, record: TaskRecord) -> bool:
        """Tell whether a Task could be bound now."""
        fit = not record.cancel and record.input_bytes <= 65_536
        return record.phase is TaskPhase.QUEUED and fit and record.uid not in self.assumed


def _uid(record: TaskRecord | AgentRecord) -> str:
    """UID of an object."""
    return record.uid


TestStateModel = StateModel.TestCase
TestStateModel.settings = settings(max_examples=250, stateful_step_count=40)
