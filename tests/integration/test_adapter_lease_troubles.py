"""Leader election while the API server refuses, is silent or stands still, or clocks jump."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from support.api import HandClock, connected, eventually, proxied
from support.candidates import HASTY, TIMES, candidate, lease
from support.components import Component


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
