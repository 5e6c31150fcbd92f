"""The schema of a pod template: Kubernetes' own, vendored, with the bounds that ours adds.

Kubernetes validates pods in Go code, which its OpenAPI document does not show. What is checked here
is what people get wrong most, so that they hear of it when they write an AgentPool and not when the
operator fails to make its pods. The bounds on lists and strings keep the CEL rules affordable.
"""

import json
from pathlib import Path

from agentcorps.api.agentpool import TemplateMeta
from agentcorps.api.names import DNS_LABEL_PATTERN
from agentcorps.api.rules import VALIDATIONS, cel, matches, validated
from generate.structural import LIST_TYPE, Schema, structural_schema

VENDORED = Path(__file__).with_name("podtemplate.json")

MAX_CONTAINERS = 32
MAX_RESOURCES = 16
MAX_VOLUMES = 64
MAX_ITEMS = 256
MAX_QUANTITY_LENGTH = 32
MAX_PORT = 65535

_INT_OR_STRING = "x-kubernetes-int-or-string"
_MAP_KEYS = "x-kubernetes-list-map-keys"

QUANTITY: Schema = {
    _INT_OR_STRING: True,
    "maxLength": MAX_QUANTITY_LENGTH,
    **validated(
        cel(
            "isQuantity(string(self)) && !quantity(string(self)).isLessThan(quantity('0'))",
            "must be a quantity that is not negative, such as 500m, 2 or 1Gi",
        )
    ),
}
_OVER_LIMIT = (
    "key in self.limits && isQuantity(string(self.requests[key]))"
    " && isQuantity(string(self.limits[key]))"
    " && quantity(string(self.requests[key])).isGreaterThan(quantity(string(self.limits[key])))"
)
REQUEST_RULE = cel(
    f"!has(self.requests) || !has(self.limits) || !self.requests.exists(key, {_OVER_LIMIT})",
    "a request must not be greater than the limit of the same resource",
    path=".requests",
)
PORT_OR_NAME: Schema = {
    _INT_OR_STRING: True,
    "maxLength": 15,
    **validated(
        cel(
            f"type(self) == string || (int(self) >= 1 && int(self) <= {MAX_PORT})",
            f"must be the name of a port or a number from 1 to {MAX_PORT}",
        )
    ),
}
_TEXTS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
_PLAIN_META: Schema = {"type": "object", "properties": {"labels": _TEXTS, "annotations": _TEXTS}}
_ENUMS = {
    "dnsPolicy": ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"],
    "imagePullPolicy": ["Always", "IfNotPresent", "Never"],
    "preemptionPolicy": ["Never", "PreemptLowerPriority"],
    "protocol": ["SCTP", "TCP", "UDP"],
    "terminationMessagePolicy": ["FallbackToLogsOnError", "File"],
}


def pod_template_schema() -> Schema:
    """Return the structural schema of a pod template."""
    vendored: Schema = json.loads(VENDORED.read_text())["schema"]
    spec = structural_pod_schema(vendored["properties"]["spec"])
    _tighten_spec(spec)
    return {
        "type": "object",
        "required": ["spec"],
        "properties": {
            "metadata": {
                **structural_schema(TemplateMeta),
                "description": "Labels and annotations of the pod.",
            },
            "spec": {"description": "A Kubernetes PodSpec.", **spec},
        },
    }


def structural_pod_schema(schema: Schema) -> Schema:
    """Return a vendored schema in the form of a CRD: bounded, with unions as int-or-string."""
    if schema.get("oneOf") == [{"type": "string"}, {"type": "number"}]:
        return dict(QUANTITY)
    if schema.get("format") == "int-or-string":
        return dict(PORT_OR_NAME)
    result = {key: value for key, value in schema.items() if key != "default"}
    if "properties" in schema:
        result["properties"] = {
            name: _bounded_property(name, field) for name, field in schema["properties"].items()
        }
    if "items" in schema:
        result["items"] = structural_pod_schema(schema["items"])
        result["maxItems"] = MAX_ITEMS
        result.setdefault(LIST_TYPE, "atomic")
        _default_map_keys(result["items"], schema)
    if "additionalProperties" in schema:
        result["additionalProperties"] = structural_pod_schema(schema["additionalProperties"])
        result["maxProperties"] = MAX_RESOURCES
    return result


def _bounded_property(name: str, schema: Schema) -> Schema:
    result = structural_pod_schema(schema)
    if name in _ENUMS and result.get("type") == "string":
        result["enum"] = _ENUMS[name]
    if name in {"containerPort", "port"} and result.get("type") == "integer":
        result.update(minimum=1, maximum=MAX_PORT)
    if name == "divisor":
        # Nested too deeply in lists for a rule: the estimate multiplies all of their bounds.
        del result[VALIDATIONS]
    if name == "hostPort":
        result.update(minimum=0, maximum=MAX_PORT)
    if name in {"matchLabels", "nodeSelector"}:
        result["maxProperties"] = MAX_ITEMS
    return result


def _default_map_keys(items: Schema, schema: Schema) -> None:
    """Keep the defaults of list keys: the API server wants each key required or defaulted."""
    for key in schema.get(_MAP_KEYS, ()):
        if key not in items.get("required", ()):
            items["properties"][key]["default"] = schema["items"]["properties"][key]["default"]


def _tighten_spec(spec: Schema) -> None:
    fields = spec["properties"]
    # A template cannot hold ephemeral containers: they are added to a pod that runs.
    del fields["ephemeralContainers"]
    fields["restartPolicy"]["enum"] = ["Always"]
    fields["volumes"]["maxItems"] = MAX_VOLUMES
    fields["resources"][VALIDATIONS] = [REQUEST_RULE]
    fields["containers"]["minItems"] = 1
    for name in ("containers", "initContainers"):
        fields[name]["maxItems"] = MAX_CONTAINERS
        _tighten_container(fields[name]["items"])
    claim = fields["volumes"]["items"]["properties"]["ephemeral"]["properties"]
    claim["volumeClaimTemplate"]["properties"]["metadata"] = _PLAIN_META
    storage = claim["volumeClaimTemplate"]["properties"]["spec"]["properties"]
    storage["resources"][VALIDATIONS] = [REQUEST_RULE]


def _tighten_container(container: Schema) -> None:
    fields = container["properties"]
    container["required"] = ["name", "image"]
    fields["name"].update(
        minLength=1,
        maxLength=63,
        **matches(
            DNS_LABEL_PATTERN,
            "must consist of lower-case letters, digits and '-',"
            " and begin and end with a letter or digit",
        ),
    )
    fields["image"].update(
        minLength=1,
        maxLength=1024,
        **matches(r"^[^\s[:cntrl:]]+$", "must be the name of an image, without spaces"),
    )
    fields["resources"][VALIDATIONS] = [REQUEST_RULE]
