"""Made-up Tasks for a simulation: arrivals of a shape and a rate, times of service, or a trace."""

from __future__ import annotations

import csv
from enum import StrEnum
from math import log, pi, sin
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentcorps.cli.errors import InputError
from agentcorps.core.simulation import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

DAY_SECONDS: Final = 86_400.0
SQUARE_SECONDS: Final = 1200.0
"""Half of it at twice the rate, half of it at none."""
LONGEST_SECONDS: Final = 1e9
SPREAD: Final = 1.0
"""Sigma of the log-normal service times."""


class Shape(StrEnum):
    """How the rate of arrivals changes over time; on average it is the given rate."""

    POISSON = "poisson"
    SQUARE = "square"
    DIURNAL = "diurnal"


class Service(StrEnum):
    """How the times of service are distributed."""

    CONSTANT = "constant"
    EXPONENTIAL = "exponential"
    LOGNORMAL = "lognormal"


def rate_of(shape: Shape, rate: float, at: float) -> float:
    """Return the rate at a time (seconds from the beginning)."""
    match shape:
        case Shape.POISSON:
            return rate
        case Shape.SQUARE:
            return 2 * rate if at % SQUARE_SECONDS < SQUARE_SECONDS / 2 else 0.0
        case Shape.DIURNAL:
            return rate * (1 + sin(2 * pi * (at / DAY_SECONDS - 0.25)))


def arrivals(shape: Shape, rate: float, seconds: float, random: Random) -> Iterator[float]:
    """Yield times of arrival: a Poisson process, thinned (Lewis, Shedler)."""
    highest, at = 2 * rate, 0.0
    while (at := at + random.expovariate(highest)) < seconds:
        if random.random() * highest < rate_of(shape, rate, at):
            yield at


def service_times(kind: Service, mean: float, random: Random) -> Callable[[], float]:
    """Return what yields times of service of that mean."""
    match kind:
        case Service.CONSTANT:
            return lambda: mean
        case Service.EXPONENTIAL:
            return lambda: random.expovariate(1 / mean)
        case Service.LOGNORMAL:
            return lambda: random.lognormvariate(log(mean) - SPREAD**2 / 2, SPREAD)


def trace(path: str) -> list[Job]:
    """Read a trace: CSV of two columns, seconds from the beginning and seconds of service.

    Raises:
        InputError: It cannot be read; the message names the line.
    """
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            return sorted(_job(path, number, row) for number, row in enumerate(csv.reader(file), 1))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text: {type(error).__name__}") from None


def _job(path: str, number: int, row: list[str]) -> Job:
    try:
        at, seconds = map(float, row)
    except ValueError:
        raise InputError(f"{path} line {number}: must be two numbers, such as 12.5,30") from None
    if not (0 <= at < LONGEST_SECONDS and 0 < seconds < LONGEST_SECONDS):
        raise InputError(f"{path} line {number}: the numbers must be positive and below 1e9")
    return Job(at, seconds)
