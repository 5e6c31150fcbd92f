"""The plots beside bench.json."""

from pathlib import Path
from typing import Any

from perf.bench.plots import draw

WAITS = {"p50_ms": 10.0, "p90_ms": 20.0, "p99_ms": 30.0}
ARMS: dict[str, list[dict[str, Any]]] = {
    "floor": [{"rate": 100.0}, {"rate": 110.0}],
    "w2": [{"rate": 90.0}],
    "w3 25%": [WAITS],
    "w3 90%": [WAITS],
}


def test_the_same_figures_make_the_same_plots(tmp_path: Path) -> None:
    """Plots are drawn of what was measured, and do not differ from run to run."""
    first, again = draw(tmp_path / "first", ARMS), draw(tmp_path / "again", ARMS)
    assert [path.name for path in first] == ["rates.svg", "latency.svg"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]


def test_nothing_is_drawn_of_nothing(tmp_path: Path) -> None:
    """An arm that was left out makes no plot."""
    assert draw(tmp_path, {"judged": [{"lost": 0}]}) == []
    assert list(tmp_path.iterdir()) == []
