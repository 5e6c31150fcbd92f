"""Small worlds of tasks, agents and pods for hypothesis, and the State that observes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from agentcorps.api.meta import AgentPhase, TaskPhase
from agentcorps.api.selector import SelectorOperator
from agentcorps.core import lifecycle
from agentcorps.core.label_selector import Requirement, Selector
from agentcorps.core.records import (
    AgentRecord,
    Key,
    Now,
    PodRecord,
    PoolRecord,
    Session,
    TaskRecord,
)
from agentcorps.core.state import State

if TYPE_CHECKING:
    from collections.abc import Iterable

NOW = Now(monotonic=5_000.0, wall=1_800_000_000.0)
SKILLS = ("count", "sum", "rank")
NAMESPACES = ("east", "west")
POOLS = ("crew", "band")

BIG: Selector = (Requirement("size", SelectorOperator.IN, ("big",)),)
"""Means agents with the label size=big."""

Step = Callable[[State], object]
"""One observation."""

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


def a_task(number: int = 0, **fields: Any) -> TaskRecord:
    """Return a waiting task that any agent of pool `crew` in namespace `east` can take."""
    values: dict[str, Any] = {
        "uid": f"task-uid-{number}",
        "key": Key("east", f"task-{number}"),
        "resource_version": 100 + number,
        "generation": 1,
        "created": NOW.wall - 60.0,
        "pool": "crew",
        "requires": frozenset(),
        "priority": 0,
        "timeout_seconds": 600,
        "retry_limit": 2,
        "ttl_seconds": None,
        "cancel": False,
        "input_bytes": 2,
        "phase": TaskPhase.QUEUED,
    }
    return TaskRecord(**values | fields)


def a_pool(**fields: Any) -> PoolRecord:
    """Return pool `crew` in namespace `east`, of one agent."""
    values: dict[str, Any] = {
        "uid": "pool-uid",
        "key": Key("east", "crew"),
        "resource_version": 1,
        "generation": 1,
        "created": 0.0,
        "replicas": 1,
        "drain_timeout_seconds": 300,
        "template_hash": "",
        "template_labels": {},
        "template_annotations": {},
        "agent_spec": {},
    }
    return PoolRecord(**values | fields)


@dataclass(frozen=True)
class Seat:
    """An agent with all that decides whether it gets work."""

    agent: AgentRecord
    pod: PodRecord | None
    session: Session | None
    offer: int

    @property
    def key(self) -> Key:
        """Key of the agent."""
        return self.agent.key

    def serves(self) -> bool:
        """Tell whether it may be given tasks at all, as the design page says it."""
        agent, pod, session = self.agent, self.pod, self.session
        if pod is None or session is None or pod.uid != session.pod_uid:
            return False
        ending = pod.deleting or session.leaving or agent.deleting or bool(agent.invalid)
        draining = agent.draining_since is not None or agent.phase is AgentPhase.DRAINING
        return not (ending or draining or agent.phase is AgentPhase.UNHEALTHY)

    def places(self, bound: int) -> int:
        """Tasks that it can be given while it runs `bound`."""
        if self.session is None or not self.serves():
            return 0
        free = min(self.agent.slots, self.session.slots) - bound
        return max(0, min(free, self.offer))

    def is_meant(self, task: TaskRecord) -> bool:
        """Tell whether a task is for its pool or names labels that it has."""
        if task.pool:
            return task.pool_key == self.agent.pool_key
        near = task.key.namespace == self.key.namespace
        return near and all(self.agent.labels.get(one.key) in one.values for one in task.selector)

    def fits(self, task: TaskRecord) -> bool:
        """Tell whether a task is for it, and within what it can do."""
        return (
            self.session is not None
            and self.is_meant(task)
            and task.requires <= self.session.capabilities
        )


def a_seat(number: int = 0, *, offer: int | None = None, **fields: Any) -> Seat:
    """Return a connected, idle agent of pool `crew` in `east`; `fields` are those of its record."""
    values: dict[str, Any] = {
        "uid": f"agent-uid-{number}",
        "key": Key("east", f"crew-{number}"),
        "resource_version": 100 + number,
        "generation": 1,
        "created": NOW.wall - 600.0,
        "pool": "crew",
        "pool_uid": "pool-uid",
        "capabilities": frozenset(SKILLS),
        "slots": 1,
        "heartbeat_seconds": 5,
        "failure_threshold": 3,
        "startup_seconds": 120,
        "template_hash": "",
        "pod_template": {},
        "phase": AgentPhase.IDLE,
    }
    agent = AgentRecord(**values | fields)
    pod = PodRecord(
        uid=f"pod-uid-{number}",
        key=agent.key,
        resource_version=100 + number,
        agent_name=agent.key.name,
        owner_uid=agent.uid,
        created=NOW.wall - 590.0,
        phase="Running",
        ready=True,
        deleting=False,
        terminated=False,
    )
    session = Session(
        agent=agent.key,
        pod_uid=pod.uid,
        instance=f"instance-{number}",
        slots=agent.slots,
        capabilities=agent.capabilities,
        last_seen=NOW.monotonic,
    )
    return Seat(agent, pod, session, agent.slots if offer is None else offer)


def bound(task: TaskRecord, seat: Seat, now: Now = NOW) -> TaskRecord:
    """Return the task as it runs on an agent."""
    pod_uid = "" if seat.pod is None else seat.pod.uid
    instance = "" if seat.session is None else seat.session.instance
    return lifecycle.bind(task, seat.key, pod_uid, instance, now)


@dataclass(frozen=True)
class World:
    """Tasks and agents at one instant."""

    tasks: tuple[TaskRecord, ...]
    seats: tuple[Seat, ...]

    def observations(self) -> list[Step]:
        """One step for each object; any order leads to the same state."""
        steps: list[Step] = [_task_step(task) for task in self.tasks]
        for seat in self.seats:
            steps += _seat_steps(seat)
        return steps


def _task_step(task: TaskRecord) -> Step:
    """The observation of a task."""
    return lambda state: state.observe_task(task, NOW)


def _seat_steps(seat: Seat) -> list[Step]:
    """The observations of an agent, its pod and its process."""
    steps: list[Step] = [lambda state: state.observe_agent(seat.agent)]
    pod = seat.pod
    if pod is not None:
        steps.append(lambda state: state.observe_pod(pod))
    if seat.session is not None:
        steps.append(lambda state: _connect(state, seat))
    return steps


def _connect(state: State, seat: Seat) -> None:
    """Let the agent's process say hello and open a poll."""
    if seat.session is not None:
        state.open_session(seat.session)
        state.open_poll(seat.key, seat.offer, NOW)


def observed(steps: Iterable[Step]) -> State:
    """Return a new state after these steps."""
    state = State()
    for step in steps:
        step(state)
    return state


def state_of(*tasks: TaskRecord, seats: Iterable[Seat] = ()) -> State:
    """Return a state that knows these tasks and agents."""
    return observed(World(tasks, tuple(seats)).observations())


def _with_session(seat: Seat, **fields: Any) -> Seat:
    """The seat with another session."""
    return replace(seat, session=seat.session and replace(seat.session, **fields))


def _with_agent(seat: Seat, **fields: Any) -> Seat:
    """The seat with another record of its agent."""
    return replace(seat, agent=replace(seat.agent, **fields))


DEFECTS: dict[str, Callable[[Seat], Seat]] = {
    "no session": lambda seat: replace(seat, session=None, offer=0),
    "no pod": lambda seat: replace(seat, pod=None),
    "session of an earlier pod": lambda seat: _with_session(seat, pod_uid="other"),
    "pod being deleted": lambda seat: replace(
        seat, pod=seat.pod and replace(seat.pod, deleting=True)
    ),
    "said goodbye": lambda seat: _with_session(seat, leaving=True),
    "no open poll": lambda seat: replace(seat, offer=0),
    "draining": lambda seat: _with_agent(seat, draining_since=1.0, phase=AgentPhase.DRAINING),
    "unhealthy": lambda seat: _with_agent(seat, phase=AgentPhase.UNHEALTHY),
    "being deleted": lambda seat: _with_agent(seat, deleting=True),
    "invalid": lambda seat: _with_agent(seat, invalid="spec: is missing"),
    "standing alone": lambda seat: _with_agent(seat, pool=""),
}
"""What keeps an agent from being given work, by name."""


class _Digits:
    """Reads choices off one drawn integer: one draw for a whole object is what makes this fast."""

    def __init__(self, number: int) -> None:
        self._rest = number

    def below(self, count: int) -> int:
        """Choose a number from 0 to `count` - 1."""
        self._rest, choice = divmod(self._rest, count)
        return choice

    def skills(self) -> frozenset[str]:
        """Choose a set of capabilities."""
        return frozenset(skill for skill in SKILLS if self.below(2))


def _seat(number: int, code: int) -> Seat:
    """An agent, mostly fit for work, sometimes with one thing in its way."""
    digits = _Digits(code)
    slots = 1 + digits.below(3)
    missing = digits.skills()
    seat = a_seat(
        number,
        key=Key(NAMESPACES[digits.below(2)], f"crew-{number}"),
        pool=POOLS[digits.below(2)],
        capabilities=frozenset(SKILLS) - missing,
        slots=slots,
        offer=max(0, slots - digits.below(3)),
        labels={"size": "big"} if digits.below(2) else {},
    )
    defect = digits.below(2 * len(DEFECTS)) - len(DEFECTS)
    return seat if defect < 0 else list(DEFECTS.values())[defect](seat)


def _waiting(number: int, code: int, fleet: list[Seat]) -> TaskRecord:
    """A task that could be bound now, sometimes one that an agent has just lost."""
    digits = _Digits(code)
    task = a_task(
        number,
        key=Key(NAMESPACES[digits.below(2)], f"task-{digits.below(4)}-{number}"),
        pool=POOLS[digits.below(2)],
        requires=digits.skills(),
        priority=digits.below(3) - 1,
        created=NOW.wall - digits.below(3),
        retry_limit=1 + digits.below(3),
    )
    if digits.below(3) == 0:
        task = replace(task, pool="", selector=BIG if digits.below(2) else ())
    near = [seat for seat in fleet if seat.key.namespace == task.key.namespace]
    if not near or digits.below(3):
        return task
    running = bound(task, near[digits.below(len(near))])
    return lifecycle.requeue(running, "AgentLost", "", counted=True, now=NOW)


def _running(seat: Seat, code: int) -> list[TaskRecord]:
    """Tasks that run on an agent, as many as it has slots at most."""
    count = _Digits(code).below(2 * seat.agent.slots) - seat.agent.slots + 1
    names = [f"{seat.key.name}-{number}" for number in range(count)]
    pool = seat.agent.pool or "crew"
    return [
        bound(a_task(uid=f"uid-{name}", key=Key(seat.key.namespace, name), pool=pool), seat)
        for name in names
    ]


def _world(seat_codes: list[int], task_codes: list[int]) -> World:
    """Decode a world."""
    fleet = [_seat(number, code) for number, code in enumerate(seat_codes)]
    tasks = [_waiting(number, code, fleet) for number, code in enumerate(task_codes)]
    for seat, code in zip(fleet, seat_codes, strict=True):
        tasks += _running(seat, code // 7)
    return World(tuple(tasks), tuple(fleet))


_CODES = st.integers(0, 2**24)
worlds = st.builds(_world, st.lists(_CODES, max_size=5), st.lists(_CODES, max_size=10))
"""Some agents, tasks that wait, and tasks that run on some of the agents."""
