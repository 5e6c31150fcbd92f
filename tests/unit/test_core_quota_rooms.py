"""What pods are charged with, what others use, and the room that is left to each pool."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentcorps.api.names import DEFAULT_MIN_RUNTIME_SECONDS
from agentcorps.core.actions import CreateAgent, DeleteAgent
from agentcorps.core.amounts import NANO, amount
from agentcorps.core.charge import Charge, charge_of
from agentcorps.core.conditions import find
from agentcorps.core.fields import Malformed
from agentcorps.core.quota.foreign import ForeignUse
from agentcorps.core.quota.rooms import rooms
from agentcorps.core.quota_record import QuotaRecord, Scope, quota_record
from agentcorps.core.records import Key, Now
from agentcorps.core.room import Room
from agentcorps.core.scaling import replicas
from agentcorps.core.statuses import Memory, pool_status
from support.fleet import NAMESPACE, POOL, Fleet

CPU = Charge((("cpu", NANO), ("pods", NANO), ("requests.cpu", NANO)), best_effort=False)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("1", NANO),
        ("100m", NANO // 10),
        ("1.5", 3 * NANO // 2),
        (".5", NANO // 2),
        ("2Gi", 2 * 2**30 * NANO),
        ("1e3", 1000 * NANO),
        ("12E", 12 * 10**18 * NANO),
        ("1E3", 1000 * NANO),
        ("1n", 1),
        ("0.1n", 1),
        ("-5", -5 * NANO),
    ],
)
def test_quantities_are_read_exactly(text: str, value: int) -> None:
    """A quantity is a whole number of billionths, rounded up as Kubernetes does."""
    assert amount(text) == value


@given(st.text() | st.sampled_from(["", "NaN", "Infinity", "1_000", " 1", "1 ", "1GB", "1e99999"]))
def test_any_text_is_a_quantity_or_refused(text: str) -> None:
    """What is no quantity is a ValueError, and never anything else."""
    try:
        assert isinstance(amount(text), int)
    except ValueError as error:
        assert "quantity" in str(error)  # noqa: PT017 -- both are right


def _container(requests: dict[str, str], **more: Any) -> dict[str, Any]:
    return {"name": "c", "resources": {"requests": requests}, **more}


def _charged(spec: dict[str, Any]) -> dict[str, int]:
    return dict(charge_of(spec).amounts)


def test_a_pod_is_charged_like_the_api_server_does() -> None:
    """Containers and sidecars add up, an init container counts if it needs more."""
    found = _charged(
        {
            "containers": [_container({"cpu": "1"}), _container({"cpu": "500m", "memory": "1Gi"})],
            "initContainers": [
                _container({"cpu": "250m"}, restartPolicy="Always"),
                _container({"memory": "3Gi"}),
            ],
            "overhead": {"cpu": "50m"},
        }
    )
    assert found["requests.cpu"] == found["cpu"] == amount("1800m")
    assert found["requests.memory"] == amount("3Gi")
    assert (found["pods"], found["count/pods"]) == (NANO, NANO)


def test_a_request_defaults_to_its_limit() -> None:
    """What only has a limit is charged for both; extended resources only under requests."""
    spec = {"containers": [{"name": "c", "resources": {"limits": {"cpu": "2", "x.io/gpu": "1"}}}]}
    found = _charged(spec)
    assert found["requests.cpu"] == found["limits.cpu"] == found["cpu"] == 2 * NANO
    assert found["requests.x.io/gpu"] == NANO
    assert "x.io/gpu" not in found
    assert not charge_of(spec).best_effort
    assert charge_of({"containers": [{"name": "c"}]}).best_effort


def test_pod_level_requests_and_overhead_are_charged() -> None:
    """What the pod asks for as a whole replaces the sum of its containers; overhead is on top."""
    spec = {
        "containers": [_container({"cpu": "1", "memory": "1Gi"})],
        "resources": {"requests": {"cpu": "3"}},
        "overhead": {"memory": "64Mi"},
    }
    found = _charged(spec)
    assert found["requests.cpu"] == 3 * NANO
    assert found["requests.memory"] == amount("1088Mi")


def test_huge_pages_and_storage_have_both_names() -> None:
    """Ephemeral storage and huge pages are charged by their plain name and as requests."""
    found = _charged(
        {"containers": [_container({"ephemeral-storage": "2Gi", "hugepages-2Mi": "4Mi"})]}
    )
    for name in ("ephemeral-storage", "hugepages-2Mi"):
        assert found[name] == found[f"requests.{name}"] > 0


def test_a_request_of_zero_makes_no_quality_of_service() -> None:
    """A pod that asks for no CPU by asking for 0 is best-effort, as the API server has it."""
    assert charge_of({"containers": [_container({"cpu": "0"})]}).best_effort


@pytest.mark.parametrize(
    ("term", "crosses"),
    [
        ({"namespaces": ["other"]}, True),
        ({"namespaceSelector": {}}, True),
        ({"topologyKey": "zone"}, False),
    ],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_affinity_across_namespaces_is_seen(
    term: dict[str, Any], *, crosses: bool, weighted: bool
) -> None:
    """A quota may be about pods whose affinity looks into other namespaces."""
    when = "preferred" if weighted else "required"
    terms = [{"podAffinityTerm": term} if weighted else term]
    affinity = {"podAntiAffinity": {f"{when}DuringSchedulingIgnoredDuringExecution": terms}}
    found = charge_of({"containers": [{"name": "c"}], "affinity": affinity})
    assert found.crosses_namespaces == crosses


def test_what_has_ended_is_charged_as_an_object_only() -> None:
    """Of a pod that ended, or is overdue in its deletion, only the number of objects is charged."""
    names = [name for name, _ in CPU.ended().amounts]
    assert names == []
    assert [name for name, _ in Charge().ended().amounts] == [
        "count/agents.agentcorps.dev",
        "count/pods",
    ]


def test_what_is_no_quantity_is_malformed() -> None:
    """A template that no API server would take says where it is wrong."""
    with pytest.raises(Malformed, match="resources"):
        charge_of({"containers": [_container({"cpu": "many"})]})


def _quota(hard: dict[str, str], used: dict[str, str] | None = None, **spec: Any) -> QuotaRecord:
    return quota_record(
        {
            "metadata": {"namespace": NAMESPACE, "name": "q", "uid": "q-1", "resourceVersion": "1"},
            "spec": {"hard": hard, **spec},
            "status": {"hard": hard, "used": used or {}},
        }
    )


@pytest.mark.parametrize(
    ("scope", "charge", "inside"),
    [
        (Scope("BestEffort"), Charge(), True),
        (Scope("NotBestEffort"), Charge(), False),
        (Scope("Terminating"), Charge(terminating=True), True),
        (Scope("NotTerminating"), Charge(terminating=True), False),
        (Scope("PriorityClass"), Charge(priority_class="high"), True),
        (Scope("PriorityClass"), Charge(), False),
        (Scope("PriorityClass", "In", frozenset({"high"})), Charge(priority_class="high"), True),
        (Scope("PriorityClass", "In", frozenset({"high"})), Charge(priority_class="low"), False),
        (Scope("PriorityClass", "NotIn", frozenset({"high"})), Charge(priority_class="low"), True),
        (Scope("PriorityClass", "DoesNotExist"), Charge(), True),
        (Scope("CrossNamespacePodAffinity"), Charge(), False),
        (Scope("CrossNamespacePodAffinity"), Charge(crosses_namespaces=True), True),
        (Scope("VolumeAttributesClass"), Charge(), False),
    ],
)
def test_scopes(scope: Scope, charge: Charge, *, inside: bool) -> None:
    """A quota is about the pods in all of its scopes, and charges no others."""
    quota = QuotaRecord("q", Key("n", "q"), 1, {"pods": 9}, {}, (scope,))
    assert bool(quota.costs(charge)) == inside


def test_a_quota_is_read_with_its_scopes() -> None:
    """What the controller enforces counts, and both forms of scopes are read."""
    selector = {
        "matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]
    }
    quota = _quota({"pods": "7"}, {"pods": "3"}, scopes=["NotBestEffort"], scopeSelector=selector)
    assert (quota.hard, quota.used) == ({"pods": 7 * NANO}, {"pods": 3 * NANO})
    assert quota.scopes == (
        Scope("NotBestEffort"),
        Scope("PriorityClass", "In", frozenset({"high"})),
    )


def _at(seconds: float) -> Now:
    return Now(seconds, seconds)


def _fleet(pool_size: int, agents: int, quota: QuotaRecord, **fields: Any) -> Fleet:
    fleet = Fleet()
    fleet.pool(replicas=pool_size, charge=CPU, **fields)
    for number in range(agents):
        agent = fleet.agent(f"crew-{number}")
        fleet.pod(agent, charge=CPU)
        fleet.hello(agent.key)
    fleet.state.observe_quota(quota)
    return fleet


def _room(fleet: Fleet) -> Room:
    return rooms(fleet.state, ForeignUse(), fleet.now)[POOL]


def test_free_is_what_others_and_our_own_pods_leave() -> None:
    """Of ten CPUs others use three and our pods two: the share is seven, five can be made now."""
    fleet = _fleet(20, 2, _quota({"requests.cpu": "10"}, {"requests.cpu": "5"}))
    assert _room(fleet) == Room(20, 7, 5, "requests.cpu of ResourceQuota q")


def test_an_agent_without_a_pod_reserves_its_place() -> None:
    """What is about to be created is taken into account, before the API server charges it."""
    fleet = _fleet(20, 2, _quota({"pods": "10"}, {"pods": "2"}))
    fleet.agent("crew-2")
    assert _room(fleet) == Room(20, 10, 7, "pods of ResourceQuota q")


def test_a_pod_that_leaves_holds_its_place_until_it_is_gone() -> None:
    """The share counts it as free already; a creation waits for it."""
    fleet = _fleet(2, 2, _quota({"pods": "2"}, {"pods": "2"}))
    fleet.drain(Key(NAMESPACE, "crew-0"))
    fleet.change_pod(Key(NAMESPACE, "crew-0"), deleting=True)
    assert _room(fleet)[:3] == (2, 2, 0)
    fleet.state.forget_pod(Key(NAMESPACE, "crew-0"))
    fleet.state.observe_quota(QuotaRecord("q-1", Key(NAMESPACE, "q"), 2, {"pods": 2 * NANO}, {}))
    assert _room(fleet)[:3] == (2, 2, 1)


def test_agents_that_stand_alone_are_not_shared() -> None:
    """Their pods are taken from what the pools share, as if they were somebody else's."""
    fleet = _fleet(20, 0, _quota({"pods": "5"}, {"pods": "1"}))
    alone = fleet.agent("solo", pool="", pool_uid="")
    fleet.pod(alone, charge=CPU)
    assert _room(fleet)[:3] == (20, 4, 4)


def test_the_size_is_learnt_from_an_admitted_pod() -> None:
    """A LimitRange may have made the pods larger than their template."""
    large = Charge((("pods", NANO), ("requests.cpu", 2 * NANO)), best_effort=False)
    fleet = _fleet(20, 0, _quota({"requests.cpu": "10"}, {"requests.cpu": "2"}))
    fleet.pod(fleet.agent("crew-0"), charge=large)
    assert _room(fleet)[:3] == (20, 5, 4)


def test_the_tightest_of_several_quotas_counts() -> None:
    """All quotas of the namespace hold, and those of other namespaces do not matter."""
    fleet = _fleet(20, 0, _quota({"pods": "8"}))
    other = _quota({"requests.cpu": "3"})
    fleet.state.observe_quota(QuotaRecord("q-2", Key(NAMESPACE, "r"), 1, other.hard, {}))
    fleet.state.observe_quota(QuotaRecord("q-3", Key("else", "r"), 1, {"pods": 0}, {}))
    assert _room(fleet) == Room(20, 3, 1, "requests.cpu of ResourceQuota r")


def test_a_quota_of_other_pods_limits_nobody() -> None:
    """A scope that the pool's pods are not in costs it nothing."""
    fleet = _fleet(3, 0, _quota({"pods": "0"}, scopes=["Terminating"]))
    assert _room(fleet)[:2] == (3, 3)


def test_of_an_unknown_size_there_is_one_first() -> None:
    """Before a pod of the template was admitted one is made, then as many as fit by its size."""
    large = Charge((("pods", NANO), ("requests.cpu", 2 * NANO)), best_effort=False)
    fleet = _fleet(20, 0, _quota({"requests.cpu": "10"}))
    assert _room(fleet)[:3] == (20, 10, 1)
    agent = fleet.agent("crew-0")
    assert _room(fleet).creatable == 0
    fleet.pod(agent, charge=large)
    assert _room(fleet)[:3] == (20, 5, 4)
    fleet.pod(fleet.agent("crew-1"), charge=CPU, created=fleet.now.wall + 1)
    assert _room(fleet)[:2] == (20, 10)


def test_what_the_quota_still_charges_is_not_free() -> None:
    """A pod of ours is gone, and `used` does not say so yet: a creation would be refused."""
    fleet = _fleet(3, 3, _quota({"pods": "3"}, {"pods": "3"}))
    foreign = ForeignUse()
    rooms(fleet.state, foreign, fleet.now)
    fleet.state.forget_agent(Key(NAMESPACE, "crew-0"))
    fleet.state.forget_pod(Key(NAMESPACE, "crew-0"))
    assert rooms(fleet.state, foreign, fleet.now)[POOL][:3] == (3, 3, 0)
    told = replace(_quota({"pods": "3"}, {"pods": "2"}), resource_version=2)
    fleet.state.observe_quota(told)
    assert rooms(fleet.state, foreign, fleet.now)[POOL][:3] == (3, 3, 1)


def test_a_pod_that_ended_or_is_overdue_leaves_its_place() -> None:
    """The API server charges neither, so neither keeps a place."""
    fleet = _fleet(9, 3, _quota({"pods": "3"}, {"pods": "1"}))
    fleet.change_pod(Key(NAMESPACE, "crew-0"), terminated=True)
    stuck = fleet.now.wall - 1
    fleet.change_pod(Key(NAMESPACE, "crew-1"), deleting=True, charged_until=stuck)
    for number in (0, 1):
        fleet.state.forget_agent(Key(NAMESPACE, f"crew-{number}"))
    assert _room(fleet).creatable == 2


def test_without_quotas_there_are_no_rooms() -> None:
    """A namespace without a ResourceQuota limits nobody."""
    fleet = Fleet()
    fleet.pool()
    assert rooms(fleet.state, ForeignUse(), fleet.now) == {}


def _step(fleet: Fleet, room: Room) -> list[object]:
    return list(replicas(fleet.state, POOL, fleet.now, 0.0, room))


def test_a_pool_creates_what_there_is_place_for() -> None:
    """Never more than its share, and never more than fits now."""
    fleet = _fleet(9, 2, _quota({}))
    assert _step(fleet, Room(9, 4, 1)) == [CreateAgent(POOL, "crew-2")]
    assert len(_step(fleet, Room(9, 4, 9))) == 2
    assert _step(fleet, Room(9, 2, 9)) == []


def test_what_was_lent_is_taken_back_from_the_idle() -> None:
    """A pool over its share gives idle agents back once they are old enough, and no busy one."""
    fleet = _fleet(3, 3, _quota({}))
    fleet.task(Key(NAMESPACE, "crew-2"))
    assert _step(fleet, Room(3, 0, 0)) == []
    fleet.seconds += DEFAULT_MIN_RUNTIME_SECONDS
    deleted = [_reclaimed(fleet, f"crew-{number}") for number in (1, 0)]
    assert _step(fleet, Room(3, 0, 0)) == deleted
    assert _step(fleet, Room(3, 2, 0)) == deleted[:1]


def test_an_agent_without_a_pod_gives_its_place_back_at_once() -> None:
    """What has not begun is not disturbed by being called off."""
    fleet = _fleet(2, 0, _quota({}))
    fleet.agent("crew-0")
    assert _step(fleet, Room(2, 0, 0)) == [_reclaimed(fleet, "crew-0")]


def _reclaimed(fleet: Fleet, name: str) -> DeleteAgent:
    """Return the deletion of an agent without work for another pool's sake."""
    agent = fleet.state.agents[Key(NAMESPACE, name)]
    return DeleteAgent(agent.key, agent.uid, agent.resource_version, "QuotaReclaimed")


def test_the_status_tells_the_share_and_what_limits_it() -> None:
    """QuotaLimited holds with the resource; a pool that has its share is stalled."""
    fleet = _fleet(5, 2, _quota({}))
    short = Room(5, 2, 0, "pods of ResourceQuota q")
    status = pool_status(fleet.state, POOL, fleet.now, Memory(0.0, rooms={POOL: short}))
    assert status["grantedReplicas"] == 2
    assert find(status, "QuotaLimited")["status"] == "True"
    assert find(status, "Stalled")["reason"] == "QuotaLimited"
    assert "its share is 2 of 5 agents, by pods of ResourceQuota q" in str(status)
    fleet.pool(replicas=2)
    status = pool_status(fleet.state, POOL, fleet.now, Memory(0.0, rooms={POOL: Room(2, 2, 0)}))
    assert find(status, "QuotaLimited")["status"] == "False"
    assert find(status, "Ready")["status"] == "True"
    assert "grantedReplicas" not in pool_status(fleet.state, POOL, fleet.now, Memory(0.0))
