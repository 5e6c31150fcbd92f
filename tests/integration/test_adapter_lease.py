"""Leader election on a real API server, on a clock that the tests turn by hand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from agentcorps.adapters.connection import JSON_PATCH, ApiConnection
from agentcorps.adapters.lease import LeaseElector, LeaseTimes
from agentcorps.core.records import Now
from agentcorps.ports import Clock
from support.api import HandClock, connected, eventually, proxied, running
from support.components import Component

TIMES = LeaseTimes(duration=15.0, renew_deadline=10.0, retry_period=2.0)
# Half of the deadline bounds a call in real time, so a silent server costs the tests half a second.
HASTY = LeaseTimes(duration=15.0, renew_deadline=1.0, retry_period=0.4)


@dataclass(frozen=True)
class Delayed:
    """The same clock, half a year behind on the wall: another machine."""

    clock: Clock

    def now(self) -> Now:
        """Return the same monotonic time and a wrong wall time."""
        now = self.clock.now()
        return Now(now.monotonic, now.wall - 15_000_000)


@dataclass
class Candidate:
    """A process that wants to lead."""

    elector: LeaseElector
    lost: list[str] = field(default_factory=list)

    async def acquire(self) -> None:
        """Wait until it leads."""
        await asyncio.wait_for(self.elector.acquire(), 60)

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator["asyncio.Task[None]"]:
        """Let it try in the background."""
        task = asyncio.create_task(self.elector.acquire())
        async with running(task):
            yield task

    @asynccontextmanager
    async def renewing(self) -> AsyncIterator["asyncio.Task[None]"]:
        """Let it renew in the background."""
        task = asyncio.create_task(self.elector.run(lambda: self.lost.append("lost")))
        async with running(task):
            yield task


def candidate(
    api: ApiConnection,
    namespace: str,
    name: str,
    clock: HandClock,
    times: LeaseTimes = TIMES,
    told: Clock | None = None,
) -> Candidate:
    """Return a candidate by name."""
    elector = LeaseElector(
        api,
        namespace=namespace,
        identity=name,
        clock=told or clock,
        times=times,
        sleep=clock.sleep,
    )
    return Candidate(elector)


def path(namespace: str) -> str:
    """Return the Lease's path."""
    return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/agentcorps-operator"


async def lease(api: ApiConnection, namespace: str) -> dict[str, Any]:
    """Return the Lease's spec."""
    stored: dict[str, Any] = await api.request("GET", path(namespace))
    return dict(stored["spec"], version=stored["metadata"]["resourceVersion"])


async def test_the_first_one_leads(kubeconfig: Path, namespace: str) -> None:
    """Who finds no Lease makes it, leads, and stands in it with its epoch."""
    clock = HandClock()
    async with connected(kubeconfig) as api:
        first = candidate(api, namespace, "one", clock)
        before = first.elector.leading
        await first.acquire()
        spec = await lease(api, namespace)
    assert (before, first.elector.leading) == (False, True)
    assert spec["holderIdentity"] == "one"
    assert spec["leaseTransitions"] == first.elector.epoch > 0
    assert spec["leaseDurationSeconds"] == 15


async def test_belief_ends_with_the_renew_deadline(kubeconfig: Path, namespace: str) -> None:
    """A leader that does not renew stops believing in itself after the deadline, by itself."""
    clock = HandClock()
    async with connected(kubeconfig) as api:
        first = candidate(api, namespace, "one", clock)
        await first.acquire()
        clock.turn(9.9)
        assert first.elector.leading
        clock.turn(0.2)
        assert not first.elector.leading


async def test_renewals_keep_others_waiting(kubeconfig: Path, namespace: str) -> None:
    """As long as the leader renews nobody takes over, whatever the others' wall clocks say."""
    clock = HandClock()
    async with connected(kubeconfig) as api:
        first = candidate(api, namespace, "one", clock)
        second = candidate(api, namespace, "two", clock, told=Delayed(clock))
        await first.acquire()
        async with first.renewing(), second.waiting() as attempt:
            for _ in range(20):
                await clock.asleep(2)
                clock.turn(2.0)
            await clock.asleep(2)
            assert (first.elector.leading, attempt.done()) == (True, False)
        assert not first.lost


async def test_takeover_after_the_duration(kubeconfig: Path, namespace: str) -> None:
    """A Lease that nobody renews is taken over after its duration and no sooner, in a new epoch."""
    clock = HandClock()
    async with connected(kubeconfig) as api:
        first = candidate(api, namespace, "one", clock)
        second = candidate(api, namespace, "two", clock, told=Delayed(clock))
        await first.acquire()
        async with second.waiting() as attempt:
            for _ in range(7):
                await clock.asleep(1)
                clock.turn(2.0)
            await clock.asleep(1)
            assert not attempt.done()
            assert not first.elector.leading
            clock.turn(2.0)
            await asyncio.wait_for(attempt, 60)
        spec = await lease(api, namespace)
    assert second.elector.leading
    assert second.elector.epoch == first.elector.epoch + 1 == spec["leaseTransitions"]
    assert spec["holderIdentity"] == "two"


async def test_release_hands_over_at_once(kubeconfig: Path, namespace: str) -> None:
    """After a release the next one leads at its next attempt, in a new epoch."""
    clock = HandClock()
    async with connected(kubeconfig) as api:
        first = candidate(api, namespace, "one", clock)
        second = candidate(api, namespace, "two", clock)
        await first.acquire()
        async with second.waiting() as attempt:
            await clock.asleep(1)
            await first.elector.release()
            assert not first.elector.leading
            clock.turn(2.0)
            await asyncio.wait_for(attempt, 60)
    assert second.elector.epoch == first.elector.epoch + 1


async def test_release_after_a_cancelled_renewal(kubeconfig: Path, namespace: str) -> None:
    """A renewal that was written but never answered does not keep the Lease from being released."""
    clock = HandClock()
    async with proxied(kubeconfig) as (api, proxy):
        first = candidate(api, namespace, "one", clock)
        await first.acquire()
        proxy.loses = lambda request: request.method == "PUT"
        async with first.renewing():
            await clock.asleep(1)
            clock.turn(2.0)
            await eventually(lambda: proxy.count("PUT") > 0, "renewal")
            await clock.asleep(1)
        proxy.loses = lambda _: False
        await first.elector.release()
        assert not (await lease(api, namespace)).get("holderIdentity")


async def test_a_restarted_container_leads_at_once(kubeconfig: Path, namespace: str) -> None:
    """Who finds its own name in the Lease takes over from its dead self at once, in a new epoch."""
    clock = HandClock()
    async with connected(kubeconfig) as api:
        before = candidate(api, namespace, "one", clock)
        after = candidate(api, namespace, "one", clock)
        await before.acquire()
        await after.acquire()
    assert after.elector.epoch == before.elector.epoch + 1


@pytest.mark.parametrize("trouble", ["silent", "refusing", "failing"])
async def test_a_cut_off_leader_loses_before_another_leads(
    kubeconfig: Path, namespace: str, trouble: str
) -> None:
    """A leader without an API server gives up before anybody else leads."""
    clock = HandClock()
    times = HASTY if trouble == "silent" else TIMES
    async with proxied(kubeconfig) as (api, proxy), connected(kubeconfig) as direct:
        first = candidate(api, namespace, "one", clock, times)
        second = candidate(direct, namespace, "two", clock)
        await first.acquire()
        if trouble == "silent":
            proxy.fall_silent()
        proxy.refusing = trouble == "refusing"
        if trouble == "failing":
            proxy.fault = lambda _: web.Response(status=500)
        async with first.renewing() as renewing, second.waiting() as attempt:
            both = asyncio.gather(renewing, attempt)
            while not both.done():
                assert not (first.elector.leading and second.elector.leading)
                await eventually(lambda: bool(clock.sleepers) or both.done(), "sleepers")
                clock.turn(1.0)
                await asyncio.sleep(0.01)
            await both
            assert first.lost == ["lost"]
            assert second.elector.leading
        proxy.speak()
    assert second.elector.epoch == first.elector.epoch + 1


@pytest.mark.parametrize("jump", [600.0, -600.0])
async def test_a_wall_clock_that_jumps_moves_no_lease(
    kubeconfig: Path, namespace: str, jump: float
) -> None:
    """Ten minutes of wall time, either way, between two renewals: one leads and one waits on.

    It cannot but show in the Lease's times, which are for people only.
    """
    clock = HandClock()
    async with connected(kubeconfig) as api:
        first = candidate(api, namespace, "one", clock)
        second = candidate(api, namespace, "two", clock)
        await first.acquire()
        before = (await lease(api, namespace))["renewTime"]
        async with first.renewing(), second.waiting() as attempt:
            for _ in range(10):
                await clock.asleep(2)
                clock.wall += jump
                assert first.elector.leading
                clock.turn(2.0)
            await clock.asleep(2)
            assert (first.elector.leading, attempt.done()) == (True, False)
        after = (await lease(api, namespace))["renewTime"]
    assert not first.lost
    assert (after > before) is (jump > 0)


@pytest.mark.parametrize("jump", [600.0, -600.0])
async def test_a_wall_clock_that_jumps_neither_hastens_nor_delays_a_takeover(
    kubeconfig: Path, namespace: str, jump: float
) -> None:
    """The leader is dead and its follower's clock jumps: the Lease's duration counts, no more."""
    clock = HandClock()
    async with connected(kubeconfig) as api:
        first = candidate(api, namespace, "one", clock)
        second = candidate(api, namespace, "two", clock)
        await first.acquire()
        async with second.waiting() as attempt:
            for _ in range(7):
                await clock.asleep(1)
                clock.wall += jump
                clock.turn(2.0)
            await clock.asleep(1)
            assert not attempt.done()
            clock.turn(2.0)
            await asyncio.wait_for(attempt, 60)
    assert second.elector.epoch == first.elector.epoch + 1


async def test_nobody_leads_while_the_api_server_is_paused(
    kubeconfig: Path, namespace: str
) -> None:
    """SIGSTOP of kube-apiserver: the leader gives up by itself, nobody else begins before SIGCONT.

    The renewal that was under way may be done then, late: it makes its sender no leader again.
    """
    server = Component(kubeconfig, "kube-apiserver")
    if not server.known:
        pytest.skip("not a control plane of hack/cluster")
    clock = HandClock()
    async with connected(kubeconfig) as own, connected(kubeconfig) as other:
        first = candidate(own, namespace, "one", clock, HASTY)
        second = candidate(other, namespace, "two", clock)
        await first.acquire()
        async with first.renewing() as renewing, second.waiting() as attempt:
            await clock.asleep(2)
            with server.paused():
                while not renewing.done():
                    clock.turn(0.1)
                    await asyncio.sleep(0.02)
                clock.turn(HASTY.duration)
                assert (first.lost, first.elector.leading) == (["lost"], False)
                assert (second.elector.leading, attempt.done()) == (False, False)
            while not attempt.done():
                await eventually(lambda: bool(clock.sleepers) or attempt.done(), "sleeper")
                clock.turn(1.0)
                await asyncio.sleep(0.01)
            await attempt
            assert (first.elector.leading, second.elector.leading) == (False, True)
            assert (await lease(other, namespace))["holderIdentity"] == "two"
    assert second.elector.epoch == first.elector.epoch + 1


async def test_edits_by_others_cost_nothing(kubeconfig: Path, namespace: str) -> None:
    """A label that somebody puts on the Lease ends no term, and it stays."""
    clock = HandClock()
    async with connected(kubeconfig) as api:
        first = candidate(api, namespace, "one", clock)
        await first.acquire()
        patch = [{"op": "add", "path": "/metadata/labels", "value": {"seen-by": "me"}}]
        edited = await api.request("PATCH", path(namespace), body=patch, content_type=JSON_PATCH)
        async with first.renewing():
            for _ in range(7):
                await clock.asleep(1)
                clock.turn(2.0)
            await clock.asleep(1)
            assert first.elector.leading
        stored = await api.request("GET", path(namespace))
    assert not first.lost
    assert stored["metadata"]["labels"] == {"seen-by": "me"}
    assert stored["metadata"]["resourceVersion"] != edited["metadata"]["resourceVersion"]


async def test_a_lost_answer_costs_nothing(kubeconfig: Path, namespace: str) -> None:
    """A renewal that was written though its answer was lost ends no term."""
    clock = HandClock()
    lost: list[str] = []

    def lose_one(request: web.Request) -> bool:
        """Choose the first renewal."""
        if request.method != "PUT" or lost:
            return False
        lost.append(request.path)
        return True

    async with proxied(kubeconfig) as (api, proxy):
        first = candidate(api, namespace, "one", clock)
        await first.acquire()
        proxy.loses = lose_one
        async with first.renewing():
            for _ in range(7):
                await clock.asleep(1)
                clock.turn(2.0)
            await clock.asleep(1)
            assert first.elector.leading
    assert lost
    assert not first.lost


async def test_a_stolen_lease_is_noticed(kubeconfig: Path, namespace: str) -> None:
    """A leader that finds another holder loses at its next renewal and writes nothing over it."""
    clock = HandClock()
    async with connected(kubeconfig) as api:
        first = candidate(api, namespace, "one", clock)
        await first.acquire()
        patch = [{"op": "replace", "path": "/spec/holderIdentity", "value": "thief"}]
        await api.request("PATCH", path(namespace), body=patch, content_type=JSON_PATCH)
        async with first.renewing() as renewing:
            await clock.asleep(1)
            clock.turn(2.0)
            await asyncio.wait_for(renewing, 60)
        await first.elector.release()
        assert (await lease(api, namespace))["holderIdentity"] == "thief"
    assert first.lost == ["lost"]
    assert not first.elector.leading


async def test_a_deleted_lease(kubeconfig: Path, namespace: str) -> None:
    """When the Lease is deleted its holder loses; who watched it waits; the epoch never falls."""
    clock = HandClock()
    async with connected(kubeconfig) as api:
        first = candidate(api, namespace, "one", clock)
        second = candidate(api, namespace, "two", clock)
        await first.acquire()
        async with second.waiting() as attempt:
            await clock.asleep(1)
            await api.request("DELETE", path(namespace))
            clock.turn(2.0)
            await clock.asleep(1)
            assert not attempt.done()
            async with first.renewing() as renewing:
                await clock.asleep(2)
                clock.turn(2.0)
                await asyncio.wait_for(renewing, 60)
            await clock.asleep(1)
            clock.turn(15.0)
            await asyncio.wait_for(attempt, 60)
    assert first.lost == ["lost"]
    assert second.elector.epoch > first.elector.epoch


async def test_acquire_outlasts_an_outage(kubeconfig: Path, namespace: str) -> None:
    """A process that starts without an API server waits, and leads once there is one."""
    clock = HandClock()
    async with proxied(kubeconfig) as (api, proxy):
        proxy.refusing = True
        first = candidate(api, namespace, "one", clock)
        async with first.waiting() as attempt:
            for _ in range(3):
                await clock.asleep(1)
                clock.turn(2.0)
            await clock.asleep(1)
            assert not attempt.done()
            proxy.refusing = False
            clock.turn(2.0)
            await asyncio.wait_for(attempt, 60)
    assert first.elector.leading
