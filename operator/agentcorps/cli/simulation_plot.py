"""A plot of a simulation: agents and Tasks over time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentcorps.cli.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes

    from agentcorps.core.simulation.outcome import Outcome, Sample

HOUR: Final = 3600.0
POINTS: Final = 360
"""Moments of a plot."""
SUFFIXES: Final = (".svg", ".png", ".pdf")


def drawer(path: str) -> Callable[[Outcome], None]:
    """Return what draws a plot into a file.

    Raises:
        InputError: The file has another suffix, or the library is not installed.
    """
    if Path(path).suffix not in SUFFIXES:
        raise InputError(f"--plot must end with {', '.join(SUFFIXES)}")
    if not Path(path).parent.is_dir():
        raise InputError(f"--plot {path}: there is no folder {Path(path).parent}")
    try:
        import matplotlib as mpl  # noqa: PLC0415 - an extra, and slow to load
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError:
        raise InputError("--plot needs matplotlib: pip install 'agentcorps[plot]'") from None
    # The same figures make the same file.
    mpl.rcParams["svg.hashsalt"] = "agentcorps"

    def draw(outcome: Outcome) -> None:
        count = len(outcome.pools)
        picture = Figure(figsize=(9, 3.2 * count), layout="constrained")
        rows = picture.subplots(count, 1, squeeze=False, sharex=True)
        for axes, (key, told) in zip(rows.flat, outcome.pools.items(), strict=True):
            _draw(axes, key.name, told.samples)
        rows.flat[-1].set_xlabel("hours")
        try:
            picture.savefig(path, metadata={"Date": None} if path.endswith(".svg") else {})
        except OSError as error:
            raise InputError(f"{path}: {(error.strerror or 'cannot be written').lower()}") from None

    return draw


def _draw(axes: Axes, name: str, samples: Sequence[Sample]) -> None:
    """Draw one pool: agents to the left, waiting Tasks to the right."""
    hours = [one.at / HOUR for one in samples]
    axes.step(hours, [one.agents for one in samples], where="post", label="agents")
    axes.step(hours, [one.target for one in samples], where="post", label="target", lw=0.8)
    axes.plot(hours, [one.running for one in samples], label="running Tasks", lw=0.8)
    axes.set_ylabel(f"{name}: agents")
    waiting = axes.twinx()
    waiting.fill_between(hours, [one.queued for one in samples], alpha=0.2, color="tab:red")
    waiting.set_ylabel("queued Tasks", color="tab:red")
    axes.legend(loc="upper left", fontsize="small")
