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

    yield from _metrics()


def _metrics() -> Iterator[BadInput]:
    """Mistakes in policies of type Prometheus and External."""
    yield BadInput(
        "Prometheus without a target",
        "CEL",
        objects.pool(scaling=_prometheus(target=None)),
        (
            (
                "spec.scaling.policies[0]: Invalid value: a policy of type Prometheus needs"
                " serverAddress, query and target"
            ),
        ),
    )
    yield BadInput(
        "External without a metric",
        "CEL",
        objects.pool(scaling=_prometheus(type="External", serverAddress=None, query=None)),
        (
            (
                "spec.scaling.policies[0]: Invalid value: a policy of type External needs metric"
                " and target"
            ),
        ),
    )
    yield BadInput(
        "query of a policy of another type",
        "CEL",
        objects.pool(scaling={"maxReplicas": 2, "policies": [{"type": "Tasks", "query": "up"}]}),
        (("spec.scaling.policies[0].query: Invalid value: fits a policy of type Prometheus only"),),
    )
    yield BadInput(
        "server address with a password",
        "CEL",
        objects.pool(scaling=_prometheus(serverAddress="https://me:secret@prom:9090")),
        (
            (
                'spec.scaling.policies[0].serverAddress: Invalid value: "https://me:secret@prom:'
                '9090": must be the address of a Prometheus server without user, query or fragment,'
                " such as https://prometheus.monitoring.svc:9090"
            ),
        ),
    )
    yield BadInput(
        "token over plain http",
        "CEL",
        objects.pool(
            scaling=_prometheus(
                serverAddress="http://prom:9090",
                authentication={"secretKeyRef": {"name": "prom", "key": "token"}},
            )
        ),
        (
            (
                "spec.scaling.policies[0].authentication: Invalid value: a token is sent over https"
                " only: change serverAddress"
            ),
        ),
    )
    yield BadInput(
        "target of one type with the value of the other",
        "CEL",
        objects.pool(scaling=_prometheus(target={"type": "Value", "averageValue": 5})),
        (
            (
                "spec.scaling.policies[0].target.value: Invalid value: must be given with type"
                " Value, and only with it"
            ),
            (
                "spec.scaling.policies[0].target.averageValue: Invalid value: must be given with"
                " type AverageValue, and only with it"
            ),
        ),
    )
    yield BadInput(
        "target of nothing",
        "CEL",
        objects.pool(scaling=_prometheus(target={"type": "Value", "value": "0m"})),
        (
            (
                'spec.scaling.policies[0].target.value: Invalid value: "0m": must be a quantity'
                " above 0, such as 100, 500m or 10k"
            ),
        ),
    )
    yield BadInput(
        "authority in two places",
        "CEL",
        objects.pool(
            scaling=_prometheus(
                tls={
                    "ca": {
                        "secretKeyRef": {"name": "ca", "key": "ca.crt"},
                        "configMapKeyRef": {"name": "ca", "key": "ca.crt"},
                    }
                }
            )
        ),
        (
            (
                "spec.scaling.policies[0].tls.ca: Invalid value: must have exactly one of"
                " secretKeyRef and configMapKeyRef"
            ),
        ),
    )
    yield BadInput(
        "unknown fallback",
        "schema",
        objects.pool(
            scaling=_prometheus() | {"fallback": {"replicas": 1, "behavior": "currentReplica"}}
        ),
        (
            (
                'spec.scaling.fallback.behavior: Unsupported value: "currentReplica": supported'
                ' values: "static", "currentReplicas", "currentReplicasIfHigher",'
                ' "currentReplicasIfLower"'
            ),
        ),
        complete=False,
    )


def _prometheus(**changes: Any) -> dict[str, Any]:
    """Return an autoscaler with a metric; a None takes a field out."""
    good = {
        "type": "Prometheus",
        "serverAddress": "https://prom:9090",
        "query": "sum(jobs)",
        "target": {"type": "Value", "value": 5},
    }
    policy = {key: value for key, value in {**good, **changes}.items() if value is not None}
    return {"maxReplicas": 2, "policies": [policy]}


def _schedule(**changes: Any) -> dict[str, Any]:
    """Return an autoscaler with a schedule; a None takes a field out."""
    good = {"type": "Schedule", "schedule": "0 8 * * *", "replicas": 1, "durationSeconds": 60}
    policy = {key: value for key, value in {**good, **changes}.items() if value is not None}
    return {"maxReplicas": 2, "policies": [policy]}
