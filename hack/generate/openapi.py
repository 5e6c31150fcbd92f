"""The OpenAPI document of the agent protocol, from the gateway's own route table and models."""

from __future__ import annotations

import json
from typing import Any

from pydantic.json_schema import models_json_schema

from agentcorps.api.protocol import PROTOCOL_VERSION, Problem, WireModel
from agentcorps.gateway.problems import CONTENT_TYPE
from agentcorps.gateway.routes import ROUTES, Route

PATH = "docs/reference/agent-protocol.openapi.json"

DESCRIPTION = (
    "How an agent gets work: JSON over HTTPS, as POST only. Every call carries the pod's projected "
    "ServiceAccount token of audience agentcorps.dev. Unknown fields are ignored on both sides. "
    "Every error is RFC 9457 problem details."
)
ERRORS = {
    401: "No token, or a foreign or expired one, or one of a pod that does not run any more.",
    403: "The pod is not an agent's, or the task is not this agent's.",
    404: "The Task does not exist.",
    408: "The body did not arrive in time.",
    409: "The attempt is stale; or, titled UnknownInstance: say hello (again) first.",
    413: "The body or the result is too large.",
    422: "The call is malformed; the detail names the field.",
    429: "Too many calls; see Retry-After.",
    500: "The operator failed.",
    503: "This replica does not lead, is not ready yet or shuts down; connect again.",
}
ABOUT_TASKS = {404}
"""Errors that only reports of attempts get."""
RETRY_LATER = {429, 503}
PATH_PARAMETERS = {
    "uid": "UID of the Task object.",
    "attempt": "Attempt number as delivered.",
}


def generate() -> dict[str, str]:
    """Return the document by its path in the repository."""
    return {PATH: json.dumps(document(), indent=2, ensure_ascii=False) + "\n"}


def document() -> dict[str, Any]:
    """Build the OpenAPI 3.1 document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "agentcorps agent protocol",
            "version": str(PROTOCOL_VERSION),
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"podToken": []}],
        "paths": {route.path: {"post": _operation(route)} for route in ROUTES},
        "components": {
            "schemas": _schemas(),
            "responses": {str(status): _error(status) for status in ERRORS},
            "securitySchemes": {
                "podToken": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "The projected token of audience agentcorps.dev.",
                }
            },
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    """Describe one call."""
    operation: dict[str, Any] = {
        "operationId": route.operation,
        "summary": route.summary,
        "requestBody": {"required": True, "content": _json(route.request)},
        "responses": _responses(route),
    }
    if "{uid}" in route.path:
        fields = _schemas()["TaskRef"]["properties"]
        operation["parameters"] = [
            {
                "name": name,
                "in": "path",
                "required": True,
                "description": description,
                "schema": {
                    key: value
                    for key, value in fields[name].items()
                    if key not in {"title", "description"}
                },
            }
            for name, description in PATH_PARAMETERS.items()
        ]
    return operation


def _responses(route: Route) -> dict[str, Any]:
    """Describe the answers of a call."""
    answers: dict[str, Any] = {}
    if route.response is not None:
        answers["200"] = {"description": "Done.", "content": _json(route.response)}
    if route.may_be_empty:
        answers["204"] = {"description": "Done; there is nothing to say."}
    reports = "{uid}" in route.path
    for status in ERRORS:
        if reports or status not in ABOUT_TASKS:
            answers[str(status)] = {"$ref": f"#/components/responses/{status}"}
    return answers


def _error(status: int) -> dict[str, Any]:
    """Describe an error."""
    answer: dict[str, Any] = {
        "description": ERRORS[status],
        "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    if status in RETRY_LATER:
        answer["headers"] = {
            "Retry-After": {
                "description": "Seconds to wait.",
                "schema": {"type": "integer", "minimum": 0},
            }
        }
    return answer


def _json(model: type[WireModel]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}}


def _schemas() -> dict[str, Any]:
    """The models' schemas by name."""
    models: set[type[WireModel]] = {Problem}
    for route in ROUTES:
        models.add(route.request)
        if route.response is not None:
            models.add(route.response)
    _, schema = models_json_schema(
        [(model, "validation") for model in sorted(models, key=lambda one: one.__name__)],
        ref_template="#/components/schemas/{model}",
    )
    definitions: dict[str, Any] = schema["$defs"]
    return definitions
