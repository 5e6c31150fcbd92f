"""From the figures of all repetitions to one answer: keys of bench.json, ratios, a table."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from perf.bench.client import Json
from perf.bench.stats import bootstrap

Arms = Mapping[str, list[Json]]
Figure = float | int | None


@dataclass(frozen=True)
class Key:
    """One figure at the top level of bench.json.

    Attributes:
        name: Its key.
        target: What it should be, for people.
        holds: Whether a figure does.
        figures: One of each repetition, from all arms.
    """

    name: str
    target: str
    holds: Callable[[float], bool]
    figures: Callable[[Arms], list[float]]


def each(arm: str, *path: str) -> Callable[[Arms], list[float]]:
    """Return what reads one figure of each repetition of an arm."""
    return lambda arms: [_at(one, path) for one in arms.get(arm, ())]


def ratio(peer: str) -> Callable[[Arms], list[float]]:
    """Return what divides the operator's rate by a peer's, in each repetition that has both."""

    def read(arms: Arms) -> list[float]:
        ours = {one["repetition"]: one["rate"] for one in arms.get("w2", ())}
        theirs = {one["repetition"]: one["rate"] for one in arms.get(peer, ())}
        return [ours[number] / theirs[number] for number in sorted(ours.keys() & theirs.keys())]

    return read


def per_task(arm: str, kind: str) -> Callable[[Arms], list[float]]:
    """Return what divides the operator's writes by the tasks of an arm."""
    return lambda arms: [one["writes"][kind] / one["tasks"] for one in arms.get(arm, ())]


def total(name: str, *arms_judged: str) -> Callable[[Arms], list[float]]:
    """Return what sums up breaches over everything that was judged."""

    def read(arms: Arms) -> list[float]:
        found = [float(one[name]) for arm in arms_judged for one in arms.get(arm, ())]
        return [sum(found)] if found else []

    return read


KEYS = (
    Key("ratio_to_floor", ">= 0.8", lambda it: it >= 0.8, ratio("floor")),
    Key("ratio_to_jobs_tuned", ">= 5", lambda it: it >= 5, ratio("jobs tuned")),
    Key("ratio_to_jobs_default", "", lambda _: True, ratio("jobs default")),
    Key("latency_p50_ms", "<= 15", lambda it: it <= 15, each("steady", "p50_ms")),
    Key("latency_p99_ms", "<= 30", lambda it: it <= 30, each("steady", "p99_ms")),
    Key("operator_writes_per_task", "<= 2", lambda it: it <= 2.01, per_task("w2", "on_tasks")),
    Key("other_writes_per_task", "<= 0.1", lambda it: it <= 0.1, per_task("w2", "elsewhere")),
    Key("operator_rss_mib", "<= 300", lambda it: it <= 300, each("restart", "operator_rss_mib")),
    Key("restart_seconds", "<= 10", lambda it: it <= 10, each("restart", "seconds_to_binding")),
    Key("idle_writes", "0", lambda it: it == 0, each("idle", "writes", "elsewhere")),
    Key("idle_cpu_percent", "< 3", lambda it: it < 3, each("idle", "cpu_percent")),
    Key("w5_distance_percent", "<= 5", lambda it: it <= 5, each("w5", "distance_percent")),
    Key("w5_turns", "0", lambda it: it == 0, each("w5", "turns")),
    Key("w5_excess", "0", lambda it: it == 0, each("w5", "excess")),
    Key("lost", "0", lambda it: it == 0, total("lost", "judged", "w6", "restart")),
    Key("double_bound", "0", lambda it: it == 0, total("double_bound", "judged", "w6", "restart")),
)


def answer(arms: Arms, run: Json) -> Json:
    """Return the content of bench.json.

    Args:
        arms: What was measured, by arm.
        run: How it was run.
    """
    keys = {key.name: figure(key.figures(arms)) for key in KEYS}
    return {**keys, "run": run, "arms": {name: summary(list(each)) for name, each in arms.items()}}


def figure(figures: Iterable[float]) -> Figure:
    """Return the median of what the repetitions say, tidied; None of none."""
    found = list(figures)
    return None if not found else tidy(median(found))


def tidy(value: float) -> float | int:
    """Return a number as people want to read it."""
    shown = round(value, 3 if abs(value) < 10 else 1)
    return int(shown) if shown == int(shown) else shown


def summary(repetitions: list[Json]) -> Json:
    """Return median and interval of each figure of an arm, and all of its repetitions."""
    names = [name for name, value in repetitions[0].items() if _is_figure(name, value)]
    columns = {name: [float(one[name]) for one in repetitions if name in one] for name in names}
    return {
        "median": {name: tidy(median(values)) for name, values in columns.items()},
        "interval_95": {
            name: [tidy(edge) for edge in bootstrap(values)] for name, values in columns.items()
        },
        "repetitions": repetitions,
    }


def ranges(path: Path) -> dict[str, tuple[float, float]]:
    """Read between which bounds each key was when somebody last looked at the figures.

    Raises:
        ValueError: It names something that is no key, or bounds in the wrong order.
    """
    known = {key.name for key in KEYS}
    found = yaml.safe_load(path.read_text())
    for name, (low, high) in found.items():
        if name not in known or low > high:
            raise ValueError(f"{path}: {name}: [{low}, {high}]")
    return {name: (float(low), float(high)) for name, (low, high) in found.items()}


def table(arms: Arms, reviewed: Mapping[str, tuple[float, float]]) -> str:
    """Return the keys with their targets and what lies behind them, as Markdown.

    Args:
        arms: What was measured, by arm.
        reviewed: The range of each key, as ``ranges`` reads it.
    """
    rows = [
        "| figure | median | 95 % interval | n | target | | reviewed range | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for key in KEYS:
        found = key.figures(arms)
        middle = figure(found)
        if middle is None:
            rows.append(f"| {key.name} | not measured | | 0 | {key.target} | | | |")
            continue
        low, high = (tidy(edge) for edge in bootstrap(found))
        verdict = "" if not key.target else "ok" if key.holds(median(found)) else "missed"
        interval = f"{low} … {high}" if len(found) > 1 else ""
        rows.append(
            f"| {key.name} | {middle} | {interval} | {len(found)} | {key.target} | {verdict} |"
            f" {_seen(reviewed.get(key.name), median(found))} |"
        )
    return "\n".join(rows)


def arm_table(arms: Arms) -> str:
    """Return rates, times and costs of each arm, as Markdown."""
    rows = [
        "| arm | n | per second | p50 / p99 ms | s | operator | control plane | agents | load |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, repetitions in arms.items():
        middle = summary(repetitions)["median"]
        waits = f"{middle['p50_ms']} / {middle['p99_ms']}" if "p50_ms" in middle else ""
        costs = " | ".join(
            cost(repetitions, who) for who in ("operator", "control_plane", "agents")
        )
        rows.append(
            f"| {name} | {len(repetitions)} | {middle.get('rate', '')} | {waits} |"
            f" {middle.get('seconds', '')} | {costs} | {middle.get('load_average', '')} |"
        )
    return "\n".join(rows)


def cost(repetitions: list[Json], who: str) -> str:
    """Return CPU seconds per 1,000 tasks, and the peak of resident memory, of a group."""
    spent = [
        1000 * one["cpu_seconds"][who] / one["tasks"]
        for one in repetitions
        if one.get("tasks") and who in one.get("cpu_seconds", {})
    ]
    if not spent:
        return ""
    peak = max(one["peak_rss_mib"].get(who, 0) for one in repetitions)
    return f"{tidy(median(spent))} s, {peak:.0f} MiB"


def write(folder: Path, told: Json) -> Path:
    """Write bench.json, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / "bench.json.new"
    draft.write_text(json.dumps(told, indent=2) + "\n")
    return draft.replace(folder / "bench.json")


def _seen(reviewed: tuple[float, float] | None, value: float) -> str:
    if reviewed is None:
        return "|"
    low, high = reviewed
    place = "within" if low <= value <= high else "below" if value < low else "above"
    return f"{tidy(low)} … {tidy(high)} | {place}"


def _at(value: Any, path: Iterable[str]) -> float:
    for name in path:
        value = value[name]
    return float(value)


def _is_figure(name: str, value: object) -> bool:
    return name != "repetition" and isinstance(value, int | float)
