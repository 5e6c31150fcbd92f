"""Input and result outside of the Task: which Secret or ConfigMap holds them."""

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from agentcorps.api.meta import GROUP, ApiModel
from agentcorps.api.names import DNS_SUBDOMAIN_PATTERN, MAX_INPUT_BYTES, MAX_NAME_LENGTH
from agentcorps.api.rules import cel, matches, validated

LABEL_TASK_UID: Final = f"{GROUP}/task-uid"
"""On a Secret with a result: UID of its Task."""
LABEL_TASK_INPUT: Final = f"{GROUP}/task-input"
"""`true` on a Secret or ConfigMap: Tasks may take their input from it."""
ANNOTATION_ATTEMPT: Final = f"{GROUP}/attempt"
"""On a Secret with a result: the attempt that it is from."""
RESULT_KEY: Final = "result.json"
RESULT_TYPE: Final = f"{GROUP}/result"
"""Type of a Secret with a result; no other program takes such a one for something else."""
DATA_KEY_PATTERN: Final = r"^[-._a-zA-Z0-9]+$"

ObjectName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_NAME_LENGTH,
        json_schema_extra=matches(
            DNS_SUBDOMAIN_PATTERN,
            "must be the name of an object: lower-case letters, digits, '-' and '.',"
            " beginning and ending with a letter or digit",
        ),
    ),
]
DataKey = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_NAME_LENGTH,
        json_schema_extra=matches(
            DATA_KEY_PATTERN, "must consist of letters, digits, '-', '_' and '.'"
        ),
    ),
]


class KeyRef(ApiModel):
    """One key of an object in the same namespace."""

    name: ObjectName = Field(description="Name of the object, in the same namespace.")
    key: DataKey = Field(description="Key of its data.")


class InputFrom(ApiModel):
    """Where the input stands, if not in the Task."""

    model_config = ConfigDict(
        json_schema_extra=validated(
            cel(
                "has(self.secretKeyRef) != has(self.configMapKeyRef)",
                "must have exactly one of secretKeyRef and configMapKeyRef",
            )
        )
    )

    secret_key_ref: KeyRef | None = Field(
        default=None,
        description=f"A key of a Secret with a JSON object of up to {MAX_INPUT_BYTES} bytes.",
    )
    config_map_key_ref: KeyRef | None = Field(
        default=None,
        description=f"A key of a ConfigMap with a JSON object of up to {MAX_INPUT_BYTES} bytes.",
    )


class ResultSecret(ApiModel):
    """The Secret that is made for a result."""

    name: ObjectName = Field(
        description="Name of a Secret that does not exist yet: it is created for this Task,"
        " belongs to it, and goes with it."
    )


class ResultTo(ApiModel):
    """Where the result is written, if not to the Task's status."""

    secret: ResultSecret = Field(
        description=f"A Secret that gets the result, as JSON under the key {RESULT_KEY}."
    )


class ResultRef(ApiModel):
    """Where the result stands, if not in the status."""

    kind: Literal["Secret"] = Field(default="Secret", description="Kind of the object.")
    name: str = Field(max_length=MAX_NAME_LENGTH, description="Name of the Secret.")
    key: str = Field(default=RESULT_KEY, max_length=MAX_NAME_LENGTH, description="Key of its data.")
