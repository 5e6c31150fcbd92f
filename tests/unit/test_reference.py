"""The comparison with a run without faults, judged: each difference that it tells is planted."""

from collections import Counter
from dataclasses import replace

import pytest
from aiohttp.test_utils import make_mocked_request

from support.extent import BOUNDED, DESIGNED, chosen
from support.fault_proxy import Call
from support.fault_rules import Rule, answering, kind_of
from support.reference import Outcome, differences, is_counted, restless

BINDS = "PUT tasks/status"
WANTED = Outcome(
    done=Counter({BINDS: 8, "POST pods": 2, "PUT agents/status": 4}),
    unknown=Counter(),
    end={"tasks": {"t0": ["Succeeded", 0, True]}, "pods": ["crew-0", "crew-1"]},
    pods=2,
    seconds=10.0,
)


def with_done(**counts: int) -> Outcome:
    """Return the same outcome with other counts: binds, pods, statuses or deletes."""
    kinds = {
        "binds": BINDS,
        "pods": "POST pods",
        "statuses": "PUT agents/status",
        "deletes": "DELETE agents",
    }
    changed = {kinds[name]: count for name, count in counts.items()}
    return replace(WANTED, done=Counter(WANTED.done | Counter()) | Counter(changed))


def test_the_same_outcome_differs_in_nothing() -> None:
    """What equals the run without faults is no breach, nor are fewer statuses put together."""
    assert differences(WANTED, WANTED, {}) == []
    fewer = replace(WANTED, done=WANTED.done - Counter({"PUT agents/status": 3}))
    assert differences(fewer, WANTED, {}) == []


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (with_done(binds=9), "I2: 9 x PUT tasks/status"),
        (with_done(pods=3), "I2: 3 x POST pods"),
        (with_done(statuses=9), "I2: 9 x PUT agents/status"),
        (with_done(deletes=1), "I2: 1 x DELETE agents"),
        (replace(WANTED, done=WANTED.done - Counter({BINDS: 1})), "I2: 7 x PUT tasks/status"),
        (replace(WANTED, pods=3), "I2: 3 pods were made"),
        (replace(WANTED, end=WANTED.end | {"pods": ["crew-0"]}), "I2: pods at the end"),
        (replace(WANTED, end=WANTED.end | {"tasks": {}}), "I2: tasks at the end"),
    ],
)
def test_each_difference_is_told(found: Outcome, told: str) -> None:
    """One write more or less of any kind, another end, another number of pods: a breach, named."""
    (breach,) = differences(found, WANTED, restless(2, 0))
    assert breach.startswith(told)


def test_a_write_of_unknown_fate_may_make_up_for_a_missing_one() -> None:
    """The API server died over it: it may have been done; a write too many it does not explain."""
    missing = replace(WANTED, done=WANTED.done - Counter({BINDS: 1}), unknown=Counter({BINDS: 1}))
    assert differences(missing, WANTED, {}) == []
    surplus = replace(with_done(binds=9), unknown=Counter({BINDS: 1}))
    assert len(differences(surplus, WANTED, {})) == 1


def test_agents_that_come_and_go_may_show_in_statuses_only() -> None:
    """Two agents, ten seconds, three disturbances: sixteen more statuses are right, and no more."""
    allowed = restless(agents=2, seconds=10.0, disturbances=3)
    assert allowed["PUT agentpools/status"] == 22
    assert differences(with_done(statuses=20), WANTED, allowed) == []
    assert len(differences(with_done(statuses=21), WANTED, allowed)) == 1
    assert len(differences(with_done(pods=3), WANTED, allowed)) == 1


@pytest.mark.parametrize(
    ("method", "path", "kind", "counted"),
    [
        ("PUT", "/apis/agentcorps.dev/v1alpha1/namespaces/a/tasks/t0/status", BINDS, True),
        ("POST", "/api/v1/namespaces/a/pods?fieldManager=x", "POST pods", True),
        ("GET", "/apis/agentcorps.dev/v1alpha1/tasks?watch=true", "GET tasks", False),
        ("PUT", "/apis/coordination.k8s.io/v1/namespaces/a/leases/l", "PUT leases", False),
        ("POST", "/apis/events.k8s.io/v1/namespaces/a/events", "POST events", False),
        (
            "POST",
            "/apis/authentication.k8s.io/v1/tokenreviews",
            "POST tokenreviews",
            False,
        ),
    ],
)
def test_kinds_of_requests(method: str, path: str, kind: str, counted: bool) -> None:  # noqa: FBT001
    """Known by method, kind and subresource; reads, reviews, renewals and Events do not count."""
    assert kind_of(method, path) == kind
    assert is_counted(Call(0.0, method, path, "")) is counted


def test_a_rule_can_hit_the_first_request_of_each_kind() -> None:
    """Whatever the dice say; the second one is theirs."""
    rule = Rule(answering(500), chance=0.0, first=True)
    asked = [make_mocked_request("GET", f"/api/v1/{kind}") for kind in ("pods", "pods", "nodes")]
    assert [rule.takes(request) for request in asked] == [True, False, True]
    assert rule.kinds == {"GET pods", "GET nodes"}


def test_a_rule_can_hit_the_nth_request_of_a_kind() -> None:
    """Requests of other kinds are not counted."""
    rule = Rule(answering(500), kind="POST pods", skip=1, times=1)
    asked = ["pods", "services", "pods", "pods"]
    requests = [make_mocked_request("POST", f"/api/v1/namespaces/a/{kind}") for kind in asked]
    assert [rule.takes(request) for request in requests] == [False, False, True, False]


def test_the_extent_is_named_or_bounded() -> None:
    """FAULTS is empty or all; anything else is refused with what there is."""
    assert (chosen(""), chosen("all")) == (BOUNDED, DESIGNED)
    with pytest.raises(ValueError, match="FAULTS=al: leave it out, or set it to all"):
        chosen("al")
