"""The table that a run of the fault tests leaves: what was done to whom, and what came of it."""

from dataclasses import dataclass, field

ELSEWHERE = {
    "28": "quota shrinks below use: tests/integration/test_quota_rules.py",
    "29": "metric missing, NaN or late: tests/integration/test_metrics.py (real Prometheus)",
    "35": "a revoked RBAC verb: operators of these tests are administrators behind the proxy",
    "36": "gateway certificate rotated under load: needs a clock that passes its renewal time",
    "37": "token expiry: tokens live ten minutes at least; the adapter tests cover a refused one",
    "38": "upgrade killed midway: there is one version so far",
    "39": "audit sink full: there is no audit sink yet",
    "40": "soak of hours: outside of what a run may take",
}


@dataclass
class Row:
    """One scenario."""

    number: str
    """As in the list of scenarios; several joined by commas."""
    scenario: str
    faults: str = ""
    recovered: float | None = None
    """Seconds from the end of the fault until all was well again."""
    invariants: list[str] = field(default_factory=list)
    passed: bool = False

    def cells(self) -> list[str]:
        """The row as text."""
        within = "—" if self.recovered is None else f"{self.recovered:.1f} s"
        held = ", ".join(self.invariants) if self.passed else "BROKEN: see the test's message"
        return [self.number, self.scenario, self.faults, within, held]


HEAD = ["#", "Scenario", "Faults injected", "Recovered in", "Invariants held"]


def markdown(rows: list[Row]) -> str:
    """Return the table, in order of the scenarios' numbers."""
    lines = [HEAD, ["---"] * len(HEAD), *(row.cells() for row in sorted(rows, key=_order))]
    lines += [
        [number, why.partition(":")[0], "not in this suite", "", why.partition(": ")[2]]
        for number, why in ELSEWHERE.items()
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def _order(row: Row) -> tuple[int, str]:
    digits = row.number.partition(",")[0].strip()
    return (int(digits) if digits.isdigit() else 0, row.scenario)
