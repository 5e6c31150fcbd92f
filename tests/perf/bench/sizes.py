"""How much of everything: the whole benchmark, and the same on smaller numbers."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Sizes:
    """What one run does. Times are in seconds."""

    mode: str
    repetitions: int
    floor_tasks: int
    agents: int
    """Ready agents for W2, W3 and W6."""
    tasks: int
    """Of W2."""
    steady_rate: float
    """Arrivals a second while nearly all agents are idle."""
    steady_seconds: float
    shares: tuple[float, ...]
    """Arrival rates of W3, as shares of the rate that W2 had in the same repetition."""
    share_seconds: float
    jobs_tuned: int
    jobs_default: int
    pods: int
    start_agents: int
    """Of W1."""
    faulty_tasks: int
    """Of W6."""
    crowd: int
    """Idle agents, and agents at the restart."""
    queued: int
    """Tasks that wait for the restart."""
    idle_after: float
    """Agents spread their first polls over half a minute; the rest of the fleet settles, too."""
    idle_seconds: float
    waves: tuple[tuple[str, str, float], ...]
    """Of W4: name, arrivals as `agentcorps simulate` takes them, and virtual hours."""
    quota: int
    """Of W5: agents that three pools share."""
    turns: int
    """Of W5: how often another pool has most of the Tasks."""
    contest_pods: int
    """Pods that the quota of W5 allows."""
    contest_min_runtime: float
    """The operator's minRuntimeSeconds in W5; flips are as far apart."""


FULL = Sizes(
    mode="full",
    repetitions=5,
    floor_tasks=3_000,
    agents=500,
    tasks=10_000,
    steady_rate=30,
    steady_seconds=15,
    shares=(0.25, 0.5, 0.75, 0.9),
    share_seconds=6,
    jobs_tuned=500,
    jobs_default=40,
    pods=500,
    start_agents=200,
    faulty_tasks=10_000,
    crowd=1_000,
    queued=10_000,
    idle_after=30,
    idle_seconds=60,
    waves=(
        ("square", "square:2:1200", 6),
        ("diurnal", "diurnal:2", 24),
        ("bursts", "bursts:0.5:600", 6),
    ),
    quota=700,
    turns=6,
    contest_pods=700,
    contest_min_runtime=60,
)
QUICK = replace(
    FULL,
    mode="quick",
    repetitions=1,
    floor_tasks=1_000,
    agents=100,
    tasks=2_000,
    steady_seconds=6,
    share_seconds=2,
    jobs_tuned=100,
    jobs_default=20,
    pods=100,
    start_agents=50,
    faulty_tasks=600,
    crowd=200,
    queued=1_000,
    idle_after=5,
    idle_seconds=10,
    waves=(
        ("square", "square:2:1200", 2),
        ("diurnal", "diurnal:1", 24),
        ("bursts", "bursts:0.5:600", 2),
    ),
    turns=3,
    contest_pods=70,
    contest_min_runtime=5,
)
