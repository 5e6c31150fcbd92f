"""Metrics are read beside the loop, each at its interval; Secrets only as far as is allowed."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from typing import Any

import pytest

from agentcorps.control.metric_reader import MetricReader
from agentcorps.control.sample_metrics import MAX_READINGS_PER_SERVER, SampleMetrics
from agentcorps.core.gauges import Metric, Reading
from agentcorps.core.metric_sources import ExternalSource, PrometheusSource, Source, source_of
from agentcorps.core.payloads import Access
from agentcorps.core.records import InputSource, Key
from agentcorps.ports import Kind, MetricError, PrometheusServer, Refused
from support.control_room import NAMESPACE, POOL, ControlRoom
from support.fake_cluster import FakeCluster
from support.scalings import metric_policy, scaling

KEY = Key(NAMESPACE, POOL)


class Desk:
    """A reader whose answers a test gives, now or later."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.answers: dict[str, float | Exception] = {}
        self.silent: set[str] = set()
        self.cancelled = 0

    async def read(self, source: Source, namespace: str) -> float:
        """See MetricReader."""
        assert namespace == NAMESPACE
        self.asked[source.server] += 1
        try:
            while source.server in self.silent:  # noqa: ASYNC110 - a test ends it
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        answer = self.answers.get(source.server, 50.0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Sampling:
    """A room whose metrics are read from a desk, without jitter."""

    def __init__(self, *policies: dict[str, Any], **spec: Any) -> None:
        self.room, self.desk = ControlRoom(), Desk()
        self.sampler = SampleMetrics(
            self.room.state,
            self.desk,  # type: ignore[arg-type] # a double of the one method that is used
            self.room.leader,
            self.room.clock,
            self.room.kicks,
            jitter=lambda seconds: seconds,
        )
        self.policies = policies or (metric_policy(),)
        self.change(**spec)

    def change(self, **spec: Any) -> None:
        """Somebody writes the pool's autoscaler."""
        self.room.add_pool(
            scaling={"maxReplicas": 9, "policies": [*self.policies], **spec},
        )

    async def turn(self, seconds: float = 0.0) -> float | None:
        """Let time pass, and let readings that were started end."""
        self.room.clock.advance(seconds)
        await self.sampler.step()
        for _ in range(5):
            await asyncio.sleep(0)
        return await self.sampler.step()

    def metric(self, policy: dict[str, Any] | None = None) -> Metric:
        """What is known of the metric of a policy."""
        written = scaling(policies=[policy or self.policies[0]]).policies[0]
        source = source_of(written)
        assert source is not None
        return self.room.state.gauges.of(self.room.state.pools[KEY].uid, source)


async def test_a_metric_is_read_at_once_and_at_its_interval() -> None:
    """The first reading is due at once, each next one an interval after the last has ended."""
    one = Sampling(metric_policy(pollingIntervalSeconds=20))
    assert await one.turn() == 20.0
    assert one.metric() == Metric(Reading(50.0, 0, 0))
    assert await one.turn(19.0) == 1.0
    assert one.desk.asked.total() == 1
    await one.turn(1.0)
    assert one.desk.asked.total() == 2


async def test_what_was_read_is_decided_about() -> None:
    """A reading becomes a target, by the autoscaler's own step."""
    one = Sampling()
    one.desk.answers["https://prom:9090"] = 300.0
    await one.turn()
    await one.room.autoscale.step()
    assert one.room.state.targets.of(one.room.state.pools[KEY]) == 3


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (MetricError("it is down"), "it is down"),
        (float("nan"), "its value is nan"),
        (float("inf"), "its value is inf"),
        (ValueError("token-1234"), "it could not be read: the operator's log has the error"),
    ],
)
async def test_failures_are_counted_and_told(answer: Any, problem: str) -> None:
    """Whatever goes wrong is a failure with a reason; the last reading stays, reading goes on."""
    one = Sampling()
    await one.turn()
    one.desk.answers["https://prom:9090"] = answer
    await one.turn(30.0)
    await one.turn(30.0)
    assert one.metric() == Metric(Reading(50.0, 0, 0), 2, problem)
    one.desk.answers.clear()
    await one.turn(30.0)
    assert one.metric().problem == ""


async def test_a_slow_server_delays_no_other() -> None:
    """While one server is silent, others are read; the silent one is asked by few at a time."""
    slow = [metric_policy(serverAddress="https://slow", query=f"q{n}") for n in range(6)]
    one = Sampling(*slow, metric_policy())
    one.desk.silent.add("https://slow")
    await one.turn()
    assert one.metric(metric_policy()).reading is not None
    assert one.desk.asked["https://slow"] == MAX_READINGS_PER_SERVER
    one.desk.silent.clear()
    await one.turn()
    await one.turn()
    assert one.desk.asked["https://slow"] == 6


async def test_a_time_out_is_a_failure() -> None:
    """A server that does not answer within timeoutSeconds has failed."""
    one = Sampling(metric_policy(timeoutSeconds=1))
    one.desk.silent.add("https://prom:9090")
    await one.sampler.step()
    async with asyncio.timeout(60):
        while not one.metric().problem:  # noqa: ASYNC110 - only the state tells of it
            await asyncio.sleep(0.01)
    assert one.metric().problem == "no answer within 1 s"


async def test_a_paused_pool_is_not_read() -> None:
    """While a pool is paused nobody is asked for it, and what was known is forgotten."""
    one = Sampling()
    await one.turn()
    one.change(paused=True)
    assert await one.turn(60.0) is None
    assert (one.desk.asked.total(), one.metric()) == (1, Metric())
    one.change()
    await one.turn()
    assert one.desk.asked.total() == 2


async def test_a_changed_source_is_read_at_once() -> None:
    """What is on its way for a policy that changed is given up, and its answer never counts."""
    one = Sampling(metric_policy(serverAddress="https://slow"))
    one.desk.silent.add("https://slow")
    await one.turn()
    one.policies = (metric_policy(),)
    one.change()
    await one.turn()
    await one.turn()
    assert one.desk.cancelled == 1
    assert one.metric(metric_policy()).reading is not None
    assert one.metric(metric_policy(serverAddress="https://slow")) == Metric()


async def test_nobody_is_asked_without_the_lease() -> None:
    """A process that does not lead reads nothing, and does not spin."""
    one = Sampling()
    one.room.leader.leading = False
    assert await one.turn(60.0) is None
    assert one.desk.asked.total() == 0


async def test_a_failing_metric_is_a_condition_and_an_event() -> None:
    """ScalingActive is False with the metric and why, one Event tells it, another one the end."""
    one = Sampling()
    room = one.room
    one.desk.answers["https://prom:9090"] = MetricError("https://prom:9090: it is down")
    for _ in range(3):
        await one.turn(30.0)
        await room.autoscale.step()
        await room.monitor.step()
    status = room.cluster.objects[Kind.POOL, KEY]["status"]
    active = next(one for one in status["conditions"] if one["type"] == "ScalingActive")
    assert (active["status"], active["reason"]) == ("False", "FailedGetMetric")
    told = (
        "policies[0] (Prometheus): https://prom:9090: it is down;"
        " meanwhile the target does not fall"
    )
    assert active["message"] == told
    notes = [(note.reason, note.warning, note.message) for note in room.notes.notes]
    assert notes == [("FailedGetMetric", True, told)]
    one.desk.answers.clear()
    await one.turn(30.0)
    await room.autoscale.step()
    assert [note.reason for note in room.notes.notes][-1] == "GotMetrics"


# Tokens and authorities


class Server:
    """A Prometheus that notes with which proofs it is asked."""

    def __init__(self) -> None:
        self.asked: list[PrometheusServer] = []

    async def query(self, server: PrometheusServer, query: str) -> float:
        """See ports.Prometheus."""
        assert query == "up"
        self.asked.append(server)
        return 1.0


class Aggregator:
    """External metrics, each of which is its own name's length."""

    async def total(self, namespace: str, metric: str, selector: str) -> float:
        """See ports.ExternalMetrics."""
        return float(len(namespace + metric + selector))


ADDRESS = "https://prom:9090"
GUARDED = PrometheusSource(
    ADDRESS,
    "up",
    token=InputSource("Secret", "prom", "token"),
    authority=InputSource("ConfigMap", "ca", "ca.crt"),
)
PEM = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"
FOR_PROM = {"agentcorps.dev/metrics-server": f"{ADDRESS}/"}


def stored(token: bytes = b"t0ken\n", notes: dict[str, str] | None = None) -> FakeCluster:
    """Return a cluster with a token and an authority."""
    cluster = FakeCluster()
    data = {"token": base64.b64encode(token).decode()}
    metadata = {"namespace": NAMESPACE, "name": "prom", "annotations": notes or {}}
    cluster.put(Kind.SECRET, {"metadata": metadata, "data": data})
    names = {"namespace": NAMESPACE, "name": "ca"}
    cluster.put(Kind.CONFIG_MAP, {"metadata": names, "data": {"ca.crt": PEM}})
    return cluster


async def read(
    cluster: FakeCluster, access: Access = Access.ANY, source: Source = GUARDED
) -> PrometheusServer:
    """Read a metric; returns how its server was asked."""
    server = Server()
    reader = MetricReader(cluster, server, Aggregator(), access)
    assert await reader.read(source, NAMESPACE) == 1.0
    return server.asked[0]


async def test_proofs_are_read_and_hidden() -> None:
    """Token and authority reach the client, and no representation of the request shows them."""
    asked = await read(stored())
    assert (asked.address, asked.token, asked.authority) == (ADDRESS, "t0ken", PEM)
    assert "t0ken" not in repr(asked)


async def test_external_metrics_need_no_proof() -> None:
    """A metric of external.metrics.k8s.io is asked for in the pool's namespace."""
    reader = MetricReader(FakeCluster(), Server(), Aggregator(), Access.OFF)
    total = await reader.read(ExternalSource("depth", "a=b"), NAMESPACE)
    assert total == float(len(NAMESPACE) + len("depth") + len("a=b"))


@pytest.mark.parametrize(
    ("cluster", "access", "words"),
    [
        (FakeCluster(), Access.ANY, "there is no Secret prom: create it"),
        (stored(b"two words"), Access.ANY, "must hold a bearer token and nothing else"),
        (stored(), Access.OFF, "secrets.enabled of its chart"),
        (stored(), Access.LABELLED, "lacks the annotation agentcorps.dev/metrics-server"),
        (
            stored(notes={"agentcorps.dev/metrics-server": "https://other"}),
            Access.LABELLED,
            "lacks the annotation agentcorps.dev/metrics-server",
        ),
    ],
)
async def test_proofs_that_cannot_be_used_are_told(
    cluster: FakeCluster, access: Access, words: str
) -> None:
    """Each reason why a token is not sent is an error in words, without the token."""
    with pytest.raises(MetricError) as caught:
        await read(cluster, access)
    assert words in str(caught.value)
    assert "two words" not in str(caught.value)


async def test_a_secret_that_names_the_server_needs_no_policy() -> None:
    """Without admission policies a token goes only to the server that its Secret names."""
    assert (await read(stored(notes=FOR_PROM), Access.LABELLED)).token == "t0ken"


async def test_a_secret_that_the_operator_may_not_read_is_told() -> None:
    """A refusal of the API server names the Secret and the reason."""
    cluster = stored()
    cluster.fail("get", Refused(403, "Forbidden", "no"))
    with pytest.raises(MetricError, match="may not read Secret prom: Forbidden"):
        await read(cluster)
