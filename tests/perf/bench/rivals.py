"""Other autoscalers as deciders of a simulation: formulas, defaults and periods of HPA and KPA."""

from __future__ import annotations

from collections import deque
from math import ceil, floor, inf
from typing import TYPE_CHECKING, Final

from agentcorps.api.scaling import Behavior
from agentcorps.core.autoscaling import behavior
from agentcorps.core.autoscaling.behavior import Change
from agentcorps.core.simulation.plan import Verdict

if TYPE_CHECKING:
    from agentcorps.core.autoscaling.load import Load
    from agentcorps.core.records import Now

SYNC_SECONDS: Final = 15.0
"""--horizontal-pod-autoscaler-sync-period."""
TOLERANCE: Final = 0.1
"""--horizontal-pod-autoscaler-tolerance."""


class Hpa:
    """A HorizontalPodAutoscaler on the number of queued and running Tasks, one for each slot.

    With its default behavior, and as an external metric with an AverageValue. Formula and defaults:
    https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#algorithm-details.
    Its least is 1, as it was before Kubernetes 1.37 (without the gate HPAScaleToZero).
    """

    def __init__(self, most: int, least: int = 1) -> None:
        """``least`` and ``most`` are minReplicas and maxReplicas."""
        self._least, self._most = least, most
        self._target = least
        self._next = -inf
        self._rules = Behavior()
        self._asked: list[tuple[float, int]] = []
        """What each sync of the stabilization window came to."""
        self._changes: list[Change] = []

    def decide(self, load: Load, now: Now) -> Verdict:
        """Look at the metric if it is time to."""
        at = now.monotonic
        if at >= self._next:
            self._next = at + SYNC_SECONDS
            self._sync(load, at)
        return Verdict(self._target, self._next - at)

    def _sync(self, load: Load, at: float) -> None:
        current = self._target
        ratio = (load.queued + load.running) / (current * load.slots)
        wanted = current if abs(1 - ratio) <= TOLERANCE else ceil(current * ratio)
        window = self._rules.scale_down.stabilization_window_seconds
        self._asked = [one for one in self._asked if one[0] > at - window] + [(at, wanted)]
        wanted = max(number for _, number in self._asked)
        if wanted > current:
            limit = behavior.highest_rise(current, self._rules.scale_up, self._changes, at)
            wanted = int(min(wanted, limit))
        elif wanted < current:
            limit = behavior.deepest_fall(current, self._rules.scale_down, self._changes, at)
            wanted = int(max(wanted, limit))
        self._target = min(max(wanted, self._least), self._most)
        self._changes = [one for one in self._changes if one.at > at - window]
        if self._target != current:
            self._changes.append(Change(at, self._target - current))


STABLE_SECONDS: Final = 60.0
PANIC_SECONDS: Final = 6.0
PANIC_THRESHOLD: Final = 2.0
UTILISATION: Final = 0.7
SCALE_UP_RATE: Final = 1000.0
SCALE_DOWN_RATE: Final = 2.0
GRACE_SECONDS: Final = 30.0
TICK_SECONDS: Final = 2.0


class Kpa:
    """Knative's pod autoscaler on concurrency: Tasks that wait or run, a slot for each.

    Windows, rates and panic with the defaults of config-autoscaler:
    https://knative.dev/docs/serving/autoscaling/kpa-specific/. A Task that finds no pod wakes it at
    once, as the activator does.
    """

    def __init__(self, most: int) -> None:
        """``most`` is max-scale."""
        self._most = most
        self._target = 0
        self._next = -inf
        self._seen: deque[tuple[float, int]] = deque()
        """Concurrency from a moment on, the latest last."""
        self._panic_until: float | None = None
        self._panic_pods = 0
        self._nothing_since: float | None = None

    def decide(self, load: Load, now: Now) -> Verdict:
        """Note what there is, and decide if it is time to."""
        at = now.monotonic
        self._note(at, load.queued + load.running)
        if self._target == 0 and load.queued:
            self._target = 1
            self._next = at + TICK_SECONDS
        elif at >= self._next:
            self._next = at + TICK_SECONDS
            self._tick(load, at)
        idle = self._target == 0 and not load.queued
        return Verdict(self._target, None if idle else self._next - at)

    def _tick(self, load: Load, at: float) -> None:
        ready = max(1, load.ready)
        lowest, highest = floor(ready / SCALE_DOWN_RATE), ceil(SCALE_UP_RATE * ready)
        value = UTILISATION * load.slots
        stable = ceil(self._average(at, STABLE_SECONDS) / value)
        urgent = ceil(self._average(at, PANIC_SECONDS) / value)
        self._look_out(urgent / ready, at)
        wanted = min(max(stable, lowest), highest)
        if self._panic_until is not None:
            self._panic_pods = max(self._panic_pods, wanted, min(max(urgent, lowest), highest))
            wanted = self._panic_pods
        self._target = self._last_one(min(wanted, self._most), stable, at)

    def _look_out(self, excess: float, at: float) -> None:
        if excess >= PANIC_THRESHOLD:
            self._panic_until = at + STABLE_SECONDS
        elif self._panic_until is not None and self._panic_until < at:
            self._panic_until, self._panic_pods = None, 0

    def _last_one(self, wanted: int, stable: int, at: float) -> int:
        """The last pod goes when nothing was there for the stable window and the grace period."""
        if wanted > 0 or stable > 0:
            self._nothing_since = None
            return wanted
        if self._target == 0:
            return 0
        if self._nothing_since is None:
            self._nothing_since = at
        return 0 if at >= self._nothing_since + GRACE_SECONDS else 1

    def _note(self, at: float, concurrency: int) -> None:
        if not self._seen or self._seen[-1][1] != concurrency:
            self._seen.append((at, concurrency))
        while len(self._seen) > 1 and self._seen[1][0] <= at - STABLE_SECONDS:
            self._seen.popleft()

    def _average(self, at: float, window: float) -> float:
        """Return the mean over a window, or over the time since the first Task if that is less."""
        total, until = 0.0, at
        for since, concurrency in reversed(self._seen):
            begun = max(since, at - window)
            total += concurrency * max(0.0, until - begun)
            until = begun
            if since <= at - window:
                break
        length = at - until
        return total / length if length > 0 else float(self._seen[-1][1])
