"""A sudden rise of demand, in the manner of Knative's pod autoscaler (KPA).

Source: https://knative.dev/docs/serving/autoscaling/kpa-specific/ (panic window and threshold).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from agentcorps.api.scaling import Panic

    Samples = tuple["Sample", ...]


class Sample(NamedTuple):
    """Demand from a moment (monotonic seconds) on, until the next sample."""

    since: float
    replicas: int


def with_sample(samples: Samples, replicas: int, now: float, window: float) -> Samples:
    """Add the demand of now, and drop what ended before the window."""
    if not samples or samples[-1].replicas != replicas:
        samples = (*samples, Sample(now, replicas))
    before = sum(1 for one in samples if one.since <= now - window)
    return samples[max(0, before - 1) :]


def over_threshold(samples: Samples, ready: int, panic: Panic, now: float) -> bool:
    """Tell whether the demand of the last `windowSeconds` is far more than what is ready can do."""
    demand = _average(samples, now, panic.window_seconds)
    return demand >= max(1, ready) * panic.threshold_percent / 100


def _average(samples: Samples, now: float, window: float) -> float:
    """Return the mean over time; before the first sample there was no demand."""
    total, until = 0.0, now
    for sample in reversed(samples):
        since = max(sample.since, now - window)
        total += sample.replicas * max(0.0, until - since)
        until = since
    return total / window
