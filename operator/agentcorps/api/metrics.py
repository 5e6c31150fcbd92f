"""Metrics that a pool scales by: where they come from, their target, and what holds without them.

`target` has the names and meaning of autoscaling/v2, `fallback` those of KEDA.
"""

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from agentcorps.api.meta import GROUP, ApiModel
from agentcorps.api.names import MAX_NAME_LENGTH, MAX_REPLICAS
from agentcorps.api.payloads import KeyRef
from agentcorps.api.rules import VALIDATIONS, cel, matches, validated
from agentcorps.api.selector import LabelSelector

ANNOTATION_METRICS_SERVER: Final = f"{GROUP}/metrics-server"
"""On a Secret: the address of the one server that pools may send its content to."""
DEFAULT_TOLERANCE: Final = 0.1
DEFAULT_TIMEOUT_SECONDS: Final = 10
DEFAULT_POLLING_SECONDS: Final = 30
MAX_QUERY_LENGTH: Final = 4096
MAX_QUANTITY_LENGTH: Final = 32
SERVER_PATTERN: Final = (
    r"^https?://([A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?(/[-A-Za-z0-9._~/]*)?$"
)
METRIC_PATTERN: Final = r"^[^/%?#\s]+$"
_QUANTITY = re.compile(
    r"\+?(?=[0-9.]*[1-9])([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+|[numkMGTPE]|[KMGTPE]i)?",
    re.ASCII,
)
_MORE_THAN_NOTHING: Final = "must be a quantity above 0, such as 100, 500m or 10k"


def _quantity(value: int | str) -> int | str:
    text = str(value)
    if len(text) > MAX_QUANTITY_LENGTH or not _QUANTITY.fullmatch(text):
        raise PydanticCustomError("quantity", _MORE_THAN_NOTHING)
    return value


PositiveQuantity = Annotated[
    int | str,
    AfterValidator(_quantity),
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "maxLength": MAX_QUANTITY_LENGTH,
            VALIDATIONS: [
                cel(
                    "type(self) == int ? self > 0"
                    " : isQuantity(self) && quantity(self).isGreaterThan(quantity('0'))",
                    _MORE_THAN_NOTHING,
                )
            ],
        }
    ),
]
"""A quantity of Kubernetes above zero; a fraction is written as a string."""


class MetricTarget(ApiModel):
    """What a metric should be, with the names and meaning of autoscaling/v2."""

    model_config = ConfigDict(
        json_schema_extra=validated(
            cel(
                "has(self.value) == (self.type == 'Value')",
                "must be given with type Value, and only with it",
                path=".value",
            ),
            cel(
                "has(self.averageValue) == (self.type == 'AverageValue')",
                "must be given with type AverageValue, and only with it",
                path=".averageValue",
            ),
        )
    )

    type: Literal["Value", "AverageValue"] = Field(
        description="Value: what the metric as a whole should be. AverageValue: what it should be"
        " divided by the number of agents."
    )
    value: PositiveQuantity | None = Field(
        default=None, description="Type Value: the pool grows in proportion while it is exceeded."
    )
    average_value: PositiveQuantity | None = Field(
        default=None, description="Type AverageValue: how much of the metric each agent is for."
    )


class ExternalMetric(ApiModel):
    """A metric of external.metrics.k8s.io, in the pool's namespace."""

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=MAX_NAME_LENGTH,
            json_schema_extra=matches(
                METRIC_PATTERN, "must be the name of a metric, without spaces, '/', '%', '?' or '#'"
            ),
        ),
    ] = Field(description="Name of the metric.")
    selector: LabelSelector | None = Field(
        default=None,
        description="Labels that its series must have. The values of several series are summed.",
    )


class MetricsAuthentication(ApiModel):
    """How the operator proves itself to a server of metrics."""

    secret_key_ref: KeyRef = Field(
        description="A key of a Secret that holds a bearer token. It is sent to serverAddress,"
        " over https only. Who creates or changes the pool must be allowed to get that Secret."
    )


class CertificateAuthority(ApiModel):
    """Where certificates of authorities stand, as PEM."""

    model_config = ConfigDict(
        json_schema_extra=validated(
            cel(
                "has(self.secretKeyRef) != has(self.configMapKeyRef)",
                "must have exactly one of secretKeyRef and configMapKeyRef",
            )
        )
    )

    secret_key_ref: KeyRef | None = Field(default=None, description="A key of a Secret.")
    config_map_key_ref: KeyRef | None = Field(default=None, description="A key of a ConfigMap.")


class MetricsTls(ApiModel):
    """How a server of metrics proves itself."""

    ca: CertificateAuthority | None = Field(
        default=None,
        description="Authorities, one of which must have issued the server's certificate; if not"
        " set, those that the operator's image trusts.",
    )
    server_name: (
        Annotated[
            str,
            Field(
                max_length=MAX_NAME_LENGTH,
                json_schema_extra=matches("^[A-Za-z0-9._-]+$", "must be the name of a host"),
            ),
        ]
        | None
    ) = Field(
        default=None,
        description="Name that the certificate must bear, where it is not that of serverAddress.",
    )


class Fallback(ApiModel):
    """What a metric asks for that cannot be had, with the names and meaning of KEDA."""

    failure_threshold: int = Field(
        default=3,
        ge=1,
        le=1000,
        description="Failures in a row after which it holds. Before, the target does not fall.",
    )
    replicas: int = Field(ge=0, le=MAX_REPLICAS, description="Number of agents.")
    behavior: Literal[
        "static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower"
    ] = Field(
        default="static",
        description="static: replicas. currentReplicas: as many as there are to be now."
        " currentReplicasIfHigher: these if they are more than replicas, else replicas."
        " currentReplicasIfLower: these if they are fewer than replicas, else replicas.",
    )


ServerAddress = Annotated[
    str,
    Field(
        max_length=1024,
        json_schema_extra=matches(
            SERVER_PATTERN,
            "must be the address of a Prometheus server without user, query or fragment,"
            " such as https://prometheus.monitoring.svc:9090",
        ),
    ),
]
