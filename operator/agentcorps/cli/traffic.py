"""Made-up Tasks for a simulation: arrivals of a shape and a rate, times of service, or a trace."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from enum import StrEnum
from math import log, pi, sin
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentcorps.cli.errors import InputError
from agentcorps.core.simulation.plan import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

DAY_SECONDS: Final = 86_400.0
LONGEST_SECONDS: Final = 1e9
MOST_TASKS: Final = 20_000_000
WIDEST: Final = 4.0
"""With a larger sigma nearly all of the mean would lie in Tasks too rare to be drawn."""
SPREAD: Final = 1.0
"""Sigma of log-normal times of service, unless given."""


class Shape(StrEnum):
    """How the rate of arrivals changes over time; on average it is the given rate."""

    POISSON = "poisson"
    SQUARE = "square"
    DIURNAL = "diurnal"
    BURSTS = "bursts"


class Service(StrEnum):
    """How the times of service are distributed."""

    CONSTANT = "constant"
    EXPONENTIAL = "exponential"
    LOGNORMAL = "lognormal"
    FILE = "file"


PERIODS: Final = {Shape.SQUARE: 1200.0, Shape.DIURNAL: DAY_SECONDS, Shape.BURSTS: 600.0}
"""Seconds after which a shape begins again, unless given."""
_ARRIVALS: Final = "must be SHAPE:RATE[:PERIOD], such as poisson:0.5 or square:2:1200"
_SERVICE: Final = "must be KIND:SECONDS, such as exponential:30 or lognormal:30:1.5, or file:FILE"


@dataclass(frozen=True, slots=True)
class Arrivals:
    """When Tasks come."""

    shape: Shape
    rate: float
    """Tasks per second, on average."""
    period: float

    @classmethod
    def parse(cls, text: str) -> Arrivals:
        """Read ``SHAPE:RATE[:PERIOD]``.

        Raises:
            InputError: It is something else.
        """
        name, *numbers = text.split(":")
        if name not in set(Shape) or not 1 <= len(numbers) <= 1 + (name in PERIODS):
            raise InputError(f"--arrivals {_ARRIVALS}; shapes: {', '.join(Shape)}")
        rate, *period = (_number(one, f"--arrivals {_ARRIVALS}") for one in numbers)
        shape = Shape(name)
        return cls(shape, rate, period[0] if period else PERIODS.get(shape, 0.0))

    def times(self, seconds: float, random: Random) -> Iterator[float]:
        """Yield the times of arrival: a Poisson process, thinned (Lewis, Shedler), or bursts."""
        if self.shape is Shape.BURSTS:
            yield from self._bursts(seconds)
            return
        highest, at = 2 * self.rate, 0.0
        while (at := at + random.expovariate(highest)) < seconds:
            if random.random() * highest < self.rate_at(at):
                yield at

    def rate_at(self, at: float) -> float:
        """Return the rate at a time: seconds from the beginning."""
        match self.shape:
            case Shape.SQUARE:
                return 2 * self.rate if at % self.period < self.period / 2 else 0.0
            case Shape.DIURNAL:
                return self.rate * (1 + sin(2 * pi * (at / self.period - 0.25)))
            case _:
                return self.rate

    def _bursts(self, seconds: float) -> Iterator[float]:
        """All Tasks of a period at once, at its beginning."""
        number, sent = 0, 0
        while (at := number * self.period) < seconds:
            number += 1
            due = round(number * self.period * self.rate)
            yield from (at for _ in range(due - sent))
            sent = due


@dataclass(frozen=True, slots=True)
class Services:
    """How long agents work on Tasks."""

    kind: Service
    mean: float = 0.0
    spread: float = SPREAD
    seen: tuple[float, ...] = ()
    """Times that were seen, to be drawn from."""

    @classmethod
    def parse(cls, text: str) -> Services:
        """Read ``KIND:SECONDS``, ``lognormal:SECONDS:SIGMA`` or ``file:FILE``.

        Raises:
            InputError: It is something else, or the file cannot be read.
        """
        name, _, rest = text.partition(":")
        if name == Service.FILE and rest:
            return cls(Service.FILE, seen=_seen(rest))
        numbers = rest.split(":")
        if name not in set(Service) or len(numbers) > 1 + (name == Service.LOGNORMAL):
            raise InputError(f"--service {_SERVICE}; kinds: {', '.join(Service)}")
        mean, *spread = (_number(one, f"--service {_SERVICE}") for one in numbers)
        if spread and spread[0] > WIDEST:
            raise InputError(f"--service {_SERVICE}; SIGMA must be at most {WIDEST:g}")
        return cls(Service(name), mean, spread[0] if spread else SPREAD)

    def draws(self, random: Random) -> Callable[[], float]:
        """Return what yields times of service."""
        mean, spread = self.mean, self.spread
        match self.kind:
            case Service.CONSTANT:
                return lambda: mean
            case Service.EXPONENTIAL:
                return lambda: random.expovariate(1 / mean)
            case Service.LOGNORMAL:
                return lambda: random.lognormvariate(log(mean) - spread**2 / 2, spread)
            case Service.FILE:
                return lambda: random.choice(self.seen)


def jobs(arrivals: Arrivals, services: Services, seconds: float, random: Random) -> Iterator[Job]:
    """Yield made-up Tasks in the order in which they come.

    Raises:
        InputError: They would be too many.
    """
    if arrivals.rate * seconds > MOST_TASKS:
        raise InputError(
            f"--arrivals and --hours make {arrivals.rate * seconds:.3g} Tasks: at most"
            f" {MOST_TASKS:.0e} are simulated"
        )
    draw = services.draws(random)
    return (Job(at, draw()) for at in arrivals.times(seconds, random))


def trace(path: str, services: Services, random: Random) -> list[Job]:
    """Read a trace: CSV of seconds from the beginning, and of seconds of service unless made up.

    Raises:
        InputError: It cannot be read; the message names the line.
    """
    draw = services.draws(random)
    found = []
    for place, row in _rows(path):
        at, *seconds = _times(place, row, "must be one or two numbers, such as 12.5,30")
        found.append(Job(at, seconds[0] if seconds else draw()))
    if not found:
        raise InputError(f"{path}: is empty")
    return sorted(found)


def _seen(path: str) -> tuple[float, ...]:
    """Read times of service: the last column of a CSV."""
    what = "must end with seconds of service above 0"
    found = tuple(_times(place, row, what)[-1] for place, row in _rows(path))
    if not found:
        raise InputError(f"{path}: is empty")
    if min(found) <= 0:
        raise InputError(f"{path}: times of service must be above 0")
    return found


def _rows(path: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the lines of a CSV that are not empty, each with its place; a line of names is none."""
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            for number, row in enumerate(csv.reader(file), 1):
                if row and not (number == 1 and all(map(_is_name, row))):
                    yield f"{path} line {number}", row
    except OSError as error:
        raise InputError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from None
    except (UnicodeDecodeError, csv.Error):
        raise InputError(f"{path}: must be a CSV of numbers, in UTF-8") from None


def _is_name(cell: str) -> bool:
    return cell.strip().isidentifier() and cell.strip().lower() not in {"nan", "inf", "infinity"}


def _times(place: str, row: list[str], what: str) -> list[float]:
    try:
        at, *rest = map(float, row)
    except ValueError:
        raise InputError(f"{place}: {what}") from None
    if len(rest) > 1:
        raise InputError(f"{place}: {what}")
    if not (0 <= at < LONGEST_SECONDS and all(0 < one < LONGEST_SECONDS for one in rest)):
        raise InputError(
            f"{place}: the numbers must be positive and below 1e9; times are seconds from the"
            " beginning, not since 1970"
        )
    return [at, *rest]


def _number(text: str, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise InputError(what) from None
    if not 0 < value < LONGEST_SECONDS:
        raise InputError(f"{what}; its numbers must be above 0 and below 1e9")
    return value
