"""Label selectors in a spec, with the fields and meaning of metav1.LabelSelector."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field, Strict

from agentcorps.api.meta import ApiModel
from agentcorps.api.names import LABEL_KEY_PATTERN
from agentcorps.api.rules import Labels, LabelValue, cel, matches, validated


class SelectorOperator(StrEnum):
    """How a label is compared with the values of a requirement."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class LabelRequirement(ApiModel):
    """One condition on one label."""

    model_config = ConfigDict(
        json_schema_extra=validated(
            cel(
                "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
                "must be given with In and NotIn, and only with them",
                path=".values",
            )
        )
    )

    key: str = Field(
        min_length=1,
        max_length=317,
        json_schema_extra=matches(LABEL_KEY_PATTERN, "must have the form of a label's key"),
        description="Key of the label.",
    )
    operator: Annotated[SelectorOperator, Strict(strict=False)] = Field(
        description="In, NotIn, Exists or DoesNotExist."
    )
    values: Annotated[tuple[LabelValue, ...], Strict(strict=False)] = Field(
        default=(), max_length=16, description="What the label is compared with."
    )


class LabelSelector(ApiModel):
    """Labels that an object must have; an empty selector matches every object."""

    match_labels: Labels = Field(
        default_factory=dict, description="Labels that it must have, with these values."
    )
    match_expressions: Annotated[tuple[LabelRequirement, ...], Strict(strict=False)] = Field(
        default=(), max_length=16, description="Further conditions, which must all hold."
    )
