"""The Lease alone does not make a leader: it has to know how things stand first."""

import pytest

from agentcorps.control.duty import DutifulCluster, Duty
from agentcorps.core.records import Key
from agentcorps.ports import Kind, Unavailable
from support.control_room import Leader
from support.fake_cluster import FakeCluster


def test_nothing_is_answered_between_the_lease_and_the_lists() -> None:
    """A process that took the Lease leads only once it has listed everything since."""
    lease = Leader(epoch=9)
    duty = Duty(lease)
    assert (lease.leading, duty.leading, duty.epoch) == (True, False, 9)
    duty.begin()
    assert duty.leading


def test_who_loses_the_lease_does_not_lead_any_more() -> None:
    """Having caught up once is not enough either."""
    lease = Leader()
    duty = Duty(lease)
    duty.begin()
    lease.leading = False
    assert not duty.leading


async def test_a_process_that_does_not_lead_any_more_begins_no_write() -> None:
    """Paused past its Lease it would take every agent for silent; it may read, and no more."""
    inner, lease = FakeCluster(), Leader()
    duty = Duty(lease)
    duty.begin()
    cluster = DutifulCluster(inner, duty)
    key = Key("team", "crew-0")
    pod = await cluster.create(Kind.POD, key.namespace, {"metadata": {"name": key.name}})
    uid, version = pod["metadata"]["uid"], int(pod["metadata"]["resourceVersion"])
    lease.leading = False
    with pytest.raises(Unavailable):
        await cluster.create(Kind.POD, key.namespace, {"metadata": {"name": "crew-1"}})
    with pytest.raises(Unavailable):
        await cluster.replace_status(Kind.POD, key, version, {})
    with pytest.raises(Unavailable):
        await cluster.delete(Kind.POD, key, uid=uid)
    assert await cluster.get(Kind.POD, key) == pod
    lease.leading = True
    await cluster.replace_status(Kind.POD, key, version, {})
    await cluster.delete(Kind.POD, key, uid=uid)
    assert [verb for verb, _, _ in inner.writes] == ["create", "status", "delete"]
