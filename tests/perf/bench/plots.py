"""Plots beside bench.json: rates of all arms, and how long Tasks wait as the load grows."""

from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

from perf.bench.client import Json

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Arms = Mapping[str, list[Json]]

RATES = {
    "floor": "API server alone",
    "w2": "agentcorps",
    "w6": "agentcorps under faults",
    "jobs tuned": "Jobs, tuned",
    "jobs default": "Jobs, default",
    "pods": "bare pods",
}
WAITS = {"p50_ms": "p50", "p90_ms": "p90", "p99_ms": "p99"}


def draw(folder: Path, arms: Arms) -> list[Path]:
    """Draw what was measured; arms that were left out are left out here, too."""
    # The same figures make the same file.
    mpl.rcParams["svg.hashsalt"] = "agentcorps"
    drawn = []
    if arms.keys() & RATES.keys():
        drawn.append(_drawn(folder / "rates.svg", _rates, arms))
    if any(name.startswith("w3 ") for name in arms):
        drawn.append(_drawn(folder / "latency.svg", _latency, arms))
    return drawn


def _drawn(path: Path, plot: Callable[["Axes", Arms], None], arms: Arms) -> Path:
    picture = Figure(figsize=(8, 4), layout="constrained")
    plot(picture.subplots(), arms)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(path, metadata={"Date": None})
    return path


def _rates(axes: "Axes", arms: Arms) -> None:
    """A bar for each arm, a dot for each repetition."""
    shown = [name for name in RATES if name in arms]
    for place, name in enumerate(shown):
        rates = [one["rate"] for one in arms[name]]
        axes.barh(place, median(rates), color="tab:blue" if name.startswith("w") else "tab:gray")
        axes.plot(rates, [place] * len(rates), "k.", alpha=0.6)
    axes.set_yticks(range(len(shown)), [RATES[name] for name in shown])
    axes.invert_yaxis()
    axes.set_xlabel("tasks (objects, Jobs, pods) a second")


def _latency(axes: "Axes", arms: Arms) -> None:
    """A line for each percentile over the share of the highest rate."""
    points = {
        float(name.removeprefix("w3 ").removesuffix("%")): each
        for name, each in arms.items()
        if name.startswith("w3 ")
    }
    loads = sorted(points)
    for key, label in WAITS.items():
        axes.plot(
            loads, [median(one[key] for one in points[load]) for load in loads], "o-", label=label
        )
    axes.set_yscale("log")
    axes.set_xlabel("Poisson arrivals, % of the highest rate")
    axes.set_ylabel("scheduled arrival to agent (ms)")
    axes.legend()
