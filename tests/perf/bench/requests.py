"""What the API server counted: requests that may change something, by kind."""

import re
from collections import Counter
from typing import NamedTuple

MUTATING = frozenset({"POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"})
NOT_COUNTED = frozenset(
    {
        "leases",
        "tokenreviews",
        "subjectaccessreviews",
        "serviceaccounts/token",
        "selfsubjectreviews",
    }
)
"""Leases and reviews are no state of anything; tokens are asked for by what plays the kubelet."""
TASKS = "tasks"
_LINE = re.compile(r"^apiserver_request_total\{([^}]*)\} (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


class Writes(NamedTuple):
    """Mutating requests of a span of time."""

    on_tasks: int
    """All but the creates, which are the client's."""
    elsewhere: int
    by_kind: dict[str, int]
    """Such as ``PUT agents/status``."""


def mutations(text: str) -> Counter[str]:
    """Return how often each mutating request was counted in an exposition of metrics.

    The keys are verb and resource, such as ``PUT tasks/status``. Refused ones count as well.
    """
    found: Counter[str] = Counter()
    for line in _LINE.finditer(text):
        labels = dict(_LABEL.findall(line[1]))
        if labels["verb"] not in MUTATING or not labels["resource"]:
            continue
        kind = "/".join(filter(None, (labels["resource"], labels["subresource"])))
        if kind not in NOT_COUNTED:
            found[f"{labels['verb']} {kind}"] += int(float(line[2]))
    return found


def writes_between(before: Counter[str], after: Counter[str]) -> Writes:
    """Return what was written between two readings.

    The client creates Tasks and nobody else does; whatever else happens to them is the operator's
    doing, and so is everything elsewhere while no other part of the benchmark runs.
    """
    made = after - before
    del made[f"POST {TASKS}"]
    on_tasks = sum(count for what, count in made.items() if _is_task(what))
    return Writes(on_tasks, made.total() - on_tasks, dict(made))


def _is_task(what: str) -> bool:
    return what.partition(" ")[2].partition("/")[0] == TASKS
