"""Leader election on a real API server, on a clock that the tests turn by hand."""

import asyncio
from pathlib import Path

from aiohttp import web

from support.api import HandClock, connected, eventually, proxied
from support.candidates import Delayed, candidate, lease, path
from support.raw_api import PATCHES


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


async def test_edits_by_others_cost_nothing(kubeconfig: Path, namespace: str) -> None:
    """A label that somebody puts on the Lease ends no term, and it stays."""
    clock = HandClock()
    async with connected(kubeconfig) as api:
        first = candidate(api, namespace, "one", clock)
        await first.acquire()
        patch = [{"op": "add", "path": "/metadata/labels", "value": {"seen-by": "me"}}]
        edited = await api.request(
            "PATCH", path(namespace), body=patch, content_type=PATCHES["json"]
        )
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
        await api.request("PATCH", path(namespace), body=patch, content_type=PATCHES["json"])
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
