"""The Tasks of `agentcorps simulate`, as options tell them: ``[POOL=]VALUE``."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final

from agentcorps.cli.errors import InputError
from agentcorps.cli.traffic import PERIODS, Arrivals, Services, jobs, trace

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agentcorps.core.simulation.plan import Job

ARRIVALS: Final = "--arrivals"
SERVICE: Final = "--service"
TRACE: Final = "--trace"
DEFAULT_ARRIVALS: Final = "poisson:1"
DEFAULT_SERVICE: Final = "exponential:10"
HOUR: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Traffic:
    """The Tasks of all pools."""

    arrivals: Sequence[str]
    services: Sequence[str]
    traces: Sequence[str]
    hours: float | None
    """For how long Tasks come; None: an hour, a whole period, or all of a trace."""
    seed: int

    def check(self, pools: Iterable[str]) -> None:
        """Refuse a pool that is not there, and what is told twice.

        Raises:
            InputError: There is such a one.
        """
        known = sorted(pools)
        for option, values in (
            (ARRIVALS, self.arrivals),
            (SERVICE, self.services),
            (TRACE, self.traces),
        ):
            for name, value in _by_pool(option, values).items():
                if name and name not in known:
                    raise InputError(
                        f"{option} {name}={value}: there is no AgentPool {name}; what stands before"
                        f" = must be one of {', '.join(known)}"
                    )
        for name in known:
            self._source(name)

    @property
    def seconds(self) -> float:
        """For how long Tasks come that are made up."""
        if self.hours is not None:
            return self.hours * HOUR
        told = _by_pool(ARRIVALS, self.arrivals).values()
        return max(HOUR, *(Arrivals.parse(text).period for text in told), 0.0)

    def jobs(self, pool: str, number: int) -> Iterable[Job]:
        """Return the Tasks of a pool; ``number`` makes those of two pools differ.

        Raises:
            InputError: They cannot be read, or would be too many.
        """
        random = Random(f"{self.seed}/{number}")  # noqa: S311 - made-up Tasks are no secret
        told = _by_pool(SERVICE, self.services)
        services = Services.parse(told.get(pool) or told.get("") or DEFAULT_SERVICE)
        option, value = self._source(pool)
        if option == ARRIVALS:
            return jobs(Arrivals.parse(value), services, self.seconds, random)
        found = trace(value, services, random)
        if self.hours is None:
            return found
        kept = [job for job in found if job.at < self.seconds]
        if not kept:
            raise InputError(f"{value}: its first Task comes after --hours {self.hours:g}")
        return kept

    def _source(self, pool: str) -> tuple[str, str]:
        """Return which option tells when the Tasks of a pool come, and what it says."""
        arrivals, traces = _by_pool(ARRIVALS, self.arrivals), _by_pool(TRACE, self.traces)
        for name in (pool, ""):
            if name in arrivals and name in traces:
                raise InputError(
                    f"{ARRIVALS} and {TRACE} are both given for {_whom(name)}: a trace tells when"
                    " Tasks come, so leave one of them out"
                )
            if name in traces:
                return TRACE, traces[name]
            if name in arrivals:
                return ARRIVALS, arrivals[name]
        return ARRIVALS, DEFAULT_ARRIVALS


def _by_pool(option: str, values: Iterable[str]) -> Mapping[str, str]:
    """Split ``POOL=VALUE``; what names no pool is for all and has the empty name."""
    found: dict[str, str] = {}
    for text in values:
        head, equals, rest = text.partition("=")
        name, value = (head, rest) if equals else ("", text)
        if name in found:
            raise InputError(
                f"{option} is given twice for {_whom(name)}: leave one out, or say which AgentPool"
                f" it is for: {option} POOL={value}"
            )
        found[name] = value
    return found


def _whom(name: str) -> str:
    return f"AgentPool {name}" if name else "all AgentPools"


def describe_periods() -> str:
    """Return the PERIOD that each shape of arrivals has unless it is given, for the help text."""
    return ", ".join(f"{shape} {seconds:g}" for shape, seconds in PERIODS.items())
