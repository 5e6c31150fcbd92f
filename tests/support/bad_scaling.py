"""What users get wrong in `spec.scaling` of a pool."""

from collections.abc import Iterator
from typing import Any

from support import objects
from support.bad_input import BadInput


def pools() -> Iterator[BadInput]:
    """Mistakes in the autoscaler of an AgentPool."""
    yield BadInput(
        "scaling without a limit",
        "schema",
        objects.pool(scaling={"minReplicas": 1}),
        ("spec.scaling.maxReplicas: Required value",),
        complete=False,
    )
    yield BadInput(
        "least agents over most agents",
        "CEL",
        objects.pool(scaling={"minReplicas": 3, "maxReplicas": 2}),
        ("spec.scaling.minReplicas: Invalid value: must not be greater than maxReplicas",),
    )
    yield BadInput(
        "idle agents beyond all",
        "CEL",
        objects.pool(scaling={"maxReplicas": 2, "idle": "150%"}),
        (
            (
                'spec.scaling.idle: Invalid value: "150%": must be a number from 0 to 10000, or a'
                " percentage from 1% to 99%"
            ),
        ),
    )
    yield BadInput(
        "schedule that is not cron",
        "CEL",
        objects.pool(scaling=_schedule(schedule="weekdays at 8")),
        (
            (
                'spec.scaling.policies[0].schedule: Invalid value: "weekdays at 8": must be a cron'
                " expression of five fields, e.g. 0 8 * * 1-5"
            ),
        ),
    )
    yield BadInput(
        "schedule without a duration",
        "CEL",
        objects.pool(scaling=_schedule(durationSeconds=None)),
        (
            (
                "spec.scaling.policies[0]: Invalid value: a policy of type Schedule needs schedule,"
                " replicas and durationSeconds"
            ),
        ),
    )
    yield BadInput(
        "replicas of a pool that scales itself",
        "CEL",
        objects.pool(replicas=3, scaling={"maxReplicas": 2}),
        (
            (
                "spec.replicas: Invalid value: has no effect on a pool that scales itself: change"
                " minReplicas, maxReplicas or pausedReplicas of spec.scaling instead, or remove"
                " spec.scaling"
            ),
        ),
        before=objects.pool(replicas=1, scaling={"maxReplicas": 2}),
    )


def _schedule(**changes: Any) -> dict[str, Any]:
    """Return an autoscaler with a schedule; a None takes a field out."""
    good = {"type": "Schedule", "schedule": "0 8 * * *", "replicas": 1, "durationSeconds": 60}
    policy = {key: value for key, value in {**good, **changes}.items() if value is not None}
    return {"maxReplicas": 2, "policies": [policy]}
