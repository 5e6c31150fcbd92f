"""Gauges, made of what the operator knows at the moment of a scrape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from prometheus_client.core import GaugeMetricFamily

from agentcorps import __version__
from agentcorps.adapters.metrics import definitions
from agentcorps.core import census
from agentcorps.core.amounts import NANO

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from prometheus_client import Metric

    from agentcorps.adapters.metrics.definitions import Definition
    from agentcorps.adapters.metrics.meter import Pools
    from agentcorps.control.remembered import Remembered
    from agentcorps.core.census import PoolNumbers
    from agentcorps.core.records import Key
    from agentcorps.core.state import State
    from agentcorps.ports import Kind

    Samples = Iterable[tuple[tuple[str, ...], float]]


class Watched(Protocol):
    """A feed, as far as its age goes."""

    @property
    def kind(self) -> Kind:
        """Kind of its objects."""

    def unconfirmed(self) -> float:
        """Seconds since the API server last confirmed its picture."""


def of_replica(*, leads: bool, watches: Sequence[Watched]) -> Iterator[Metric]:
    """Yield what every replica tells of itself."""
    yield _family(definitions.LEADER, [((), float(leads))])
    ages: dict[str, float] = {}
    for watch in watches:
        kind = watch.kind.kind
        ages[kind] = max(ages.get(kind, 0.0), watch.unconfirmed())
    yield _family(definitions.WATCH_AGE, (((kind,), age) for kind, age in ages.items()))
    yield _family(definitions.BUILD, [((__version__,), 1.0)])


def of_leader(state: State, remembered: Remembered, pools: Pools) -> Iterator[Metric]:
    """Yield what there is: Tasks, Agents, pools and their quotas."""
    tasks: dict[tuple[str, ...], float] = {}
    for (pool, phase), number in state.task_counts.items():
        labels = (*pools.label(pool), phase.value)
        tasks[labels] = tasks.get(labels, 0.0) + number
    yield _family(definitions.TASKS, tasks.items())
    agents = census.agent_phases(state)
    yield _family(
        definitions.AGENTS,
        (((*pools.label(pool), phase.value), n) for (pool, phase), n in agents.items()),
    )
    numbers = dict(census.pool_numbers(state, agents, remembered.rooms, remembered.scaled))
    yield from _of_pools(numbers)
    yield from _of_quotas(state)


def _of_pools(numbers: Mapping[Key, PoolNumbers]) -> Iterator[Metric]:
    each = numbers.items()
    yield _family(definitions.TARGET, ((key, one.target) for key, one in each))
    yield _family(definitions.DESIRED, ((key, one.desired) for key, one in each))
    yield _family(definitions.READY, ((key, one.ready) for key, one in each))
    granted = ((key, one.granted) for key, one in each if one.granted is not None)
    yield _family(definitions.GRANTED, granted)
    shares = ((key, one.share) for key, one in each if one.share is not None)
    yield _family(definitions.SHARE, shares)
    yield _family(
        definitions.LIMITED,
        (
            ((*key, reason), float(one.limited_by == reason))
            for key, one in each
            for reason in sorted(definitions.LIMITED.words)
        ),
    )
    yield _family(definitions.FAILING, ((key, one.failing) for key, one in each))


def _of_quotas(state: State) -> Iterator[Metric]:
    quotas = census.quotas_of_pools(state)
    for definition, part in ((definitions.QUOTA_USED, "used"), (definitions.QUOTA_HARD, "hard")):
        yield _family(
            definition,
            (
                ((*quota.key, resource), getattr(quota, part).get(resource, 0) / NANO)
                for quota in quotas
                for resource in quota.hard
            ),
        )


def _family(definition: Definition, samples: Samples) -> Metric:
    family = GaugeMetricFamily(definition.name, definition.help, labels=definition.labels)
    for labels, value in samples:
        family.add_metric(labels, value)
    return family
