"""The pod template of an agent: passed through as JSON, checked only for what a pod needs."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

POD_TEMPLATE_MARK: Final = "x-agentcorps-pod-template"
"""Schema key that the generator replaces by the vendored schema of a pod template."""


def _problem(template: dict[str, Any]) -> str | None:
    spec = template.get("spec")
    if not isinstance(spec, dict):
        return "spec is missing"
    containers = spec.get("containers")
    if not isinstance(containers, list) or not containers:
        return "spec.containers must list at least one container"
    for index, container in enumerate(containers):
        for field in ("name", "image"):
            value = container.get(field) if isinstance(container, dict) else None
            if not isinstance(value, str) or not value:
                return f"spec.containers[{index}].{field} is missing"
    if not isinstance(template.get("metadata", {}), dict):
        return "metadata must be an object"
    return None


def _checked(template: dict[str, Any]) -> dict[str, Any]:
    problem = _problem(template)
    if problem is not None:
        raise PydanticCustomError("pod_template", "{problem}", {"problem": problem})
    return template


PodTemplate = Annotated[
    dict[str, Any], AfterValidator(_checked), WithJsonSchema({POD_TEMPLATE_MARK: True})
]
"""A Kubernetes PodTemplateSpec as JSON; at least one container with a name and an image."""
