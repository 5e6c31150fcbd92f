"""W4 and W5 for people: a table of policies, and plots."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from perf.bench.client import Json

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Arms = Mapping[str, list[Json]]
COLUMNS = ("missed", "p50_s", "p99_s", "agent_hours", "surplus_hours", "utilisation", "flaps")


def policy_table(arms: Arms) -> str:
    """Return what each policy came to, as Markdown; empty when neither arm was run."""
    rows = [
        f"| {name} | {policy} | {' | '.join(str(told[column]) for column in COLUMNS)} |"
        for name, policies in _comparisons(arms)
        for policy, told in policies.items()
    ]
    if not rows:
        return ""
    heads = ["Tasks", "policy", *COLUMNS]
    table = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", *rows]
    return "\n".join([*table, *_flips(arms)])


def draw_policies(folder: Path, arms: Arms) -> list[Path]:
    """Draw agent-hours and missed waits of each policy, and return the files."""
    compared = list(_comparisons(arms))
    if not compared:
        return []
    path = folder / "policies.svg"
    picture = Figure(figsize=(9, 1.6 * len(compared)), layout="constrained")
    rows = picture.subplots(len(compared), 1, squeeze=False)
    for axes, (name, policies) in zip(rows.flat, compared, strict=True):
        _bars(axes, name, policies)
    rows.flat[-1].set_xlabel("agent-hours; beside the bars: Tasks that waited for over a minute")
    picture.savefig(path, metadata={"Date": None})
    return [path]


def _comparisons(arms: Arms) -> Iterator[tuple[str, Mapping[str, Json]]]:
    for told in arms.get("W4", ()):
        yield from ((name, each) for name, each in told.items() if name != "repetition")
    for told in arms.get("W5", ()):
        yield "three pools", told["Tasks"]


def _flips(arms: Arms) -> Iterator[str]:
    for told in arms.get("W5", ()):
        for name, found in told["flips"].items():
            yield (
                f"\nW5, {name}: 10 s after a flip at most {found['farthest']:.1%} from the"
                f" water-fill; Jain index {found['jain']}; quota violations {found['violations']}"
            )


def _bars(axes: "Axes", name: str, policies: Mapping[str, Json]) -> None:
    hours = [told["agent_hours"] for told in policies.values()]
    bars = axes.barh(list(policies), hours, color=["tab:blue", "tab:cyan", "tab:gray", "tab:gray"])
    axes.bar_label(bars, [f"{told['missed']} missed" for told in policies.values()], padding=3)
    axes.set_xlim(0, max(hours) * 1.2)
    axes.invert_yaxis()
    axes.set_title(name, fontsize="medium")
