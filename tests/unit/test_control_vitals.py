"""What the probes answer: stuck is for a restart, behind is for waiting."""

from agentcorps.control.loop import Loop
from agentcorps.control.resync import BLIND_AFTER, Resync
from agentcorps.control.vitals import STUCK_SECONDS, Vitals
from agentcorps.core.records import Key
from agentcorps.ports import Kind
from support.control_room import NAMESPACE, POOL, ControlRoom


class Watch:
    """A feed with a given age."""

    def __init__(self, age: float = 0.0, *, ready: bool = True) -> None:
        self._age = age
        self._ready = ready

    def age(self) -> float:
        """See vitals.Watch."""
        return self._age

    def ready(self) -> bool:
        """See vitals.Watch."""
        return self._ready


def vitals(*watches: Watch, room: ControlRoom | None = None, kopf: bool = True) -> Vitals:
    """Return the checks over some watches."""
    room = room or ControlRoom()
    resync = Resync(room.state, room.observer, room.cluster, room.cluster, ())
    return Vitals(watches, [], resync, lambda: kopf)


def test_a_silent_watch_is_stuck() -> None:
    """A feed without any sign of progress for three minutes needs a restart."""
    assert vitals(Watch(STUCK_SECONDS + 1)).stuck() == ["feed"]
    assert vitals(Watch(STUCK_SECONDS - 1)).stuck() == []


def test_a_watch_that_fails_is_behind_but_not_stuck() -> None:
    """While the API server is away the operator is not ready, and is not restarted."""
    checks = vitals(Watch(1.0, ready=False))
    checks.serves = True
    assert checks.stuck() == []
    assert checks.behind() == ["feed"]


def test_kopf_must_run_only_in_a_leader() -> None:
    """A standby has no kopf, and is well."""
    checks = vitals(kopf=False)
    assert checks.stuck() == []
    checks.leads = True
    assert checks.stuck() == ["kopf"]


def test_an_operator_without_a_gateway_is_not_ready() -> None:
    """Agents cannot be served before the gateway listens."""
    checks = vitals(Watch())
    assert checks.behind() == ["gateway"]
    checks.serves = True
    assert checks.behind() == []


async def test_a_kopf_that_sees_nothing_is_stuck_until_it_sees() -> None:
    """Changes that only the comparison finds make the liveness probe fail; one event heals it."""
    room = ControlRoom()
    pool = room.add_pool(1)
    resync = Resync(room.state, room.observer, room.cluster, room.cluster, ())
    checks = Vitals([], [], resync, lambda: True)
    for replicas in range(2, 2 + BLIND_AFTER):
        assert checks.stuck() == []
        pool["spec"]["replicas"] = replicas
        pool = room.cluster.put(Kind.POOL, pool)
        await resync.step()
        await resync.step()
        assert room.state.pools[Key(NAMESPACE, POOL)].replicas == replicas
    assert checks.stuck() == ["kopf-watch"]
    resync.pool_event("MODIFIED", pool)
    assert checks.stuck() == []


async def test_a_step_that_never_ends_is_stuck() -> None:
    """A loop whose step hangs is named."""

    class Hung(Loop):
        """A loop in the middle of an endless step."""

        def step_age(self) -> float:
            """See Loop."""
            return STUCK_SECONDS + 1

    async def step() -> None:
        raise AssertionError("never run")

    room = ControlRoom()
    resync = Resync(room.state, room.observer, room.cluster, room.cluster, ())
    checks = Vitals([], [Hung("assign_tasks", step, tick=1)], resync, lambda: True)
    assert checks.stuck() == ["assign_tasks"]
