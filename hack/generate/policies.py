"""The chart's ValidatingAdmissionPolicies, each with its binding."""

from typing import Any, Final

from agentcorps.api.kinds import AGENT_POOL, TASK, Kind
from agentcorps.api.meta import GROUP, VERSION
from agentcorps.api.names import MAX_INPUT_BYTES
from generate.crds import to_yaml

INPUT_SIZE: Final = "agentcorps-task-input-size"
SECRETS: Final = "agentcorps-task-secrets"
POOL_SECRETS: Final = "agentcorps-pool-secrets"

_IF_POLICIES: Final = "{{- if .Values.policies.install }}\n"
_IF_SECRETS: Final = "{{- if .Values.secrets.enabled }}\n"
_ELSE: Final = "{{- else }}\n"
_END: Final = "{{- end }}\n"

Document = dict[str, Any]


def chart_templates() -> dict[str, str]:
    """Return the policies as Helm templates, by file name."""
    size, open_, closed = map(_text, (input_size_policy(), secrets_policy(), no_secrets_policy()))
    pools = _text(pool_secrets_policy())
    return {
        "task-input-size": f"{_IF_POLICIES}{size}{_END}",
        "pool-secrets": f"{_IF_POLICIES}{pools}{_END}",
        "task-secrets": f"{_IF_POLICIES}{_IF_SECRETS}{open_}{_ELSE}{closed}{_END}{_END}",
    }


def input_size_policy() -> list[Document]:
    """Return the policy that refuses a Task whose input is too large, and its binding.

    CEL cannot encode JSON. Its own text form has no quotes, puts a space behind each comma and
    colon, and pads fractions with zeros. Without those spaces and zeros it is not longer than
    compact JSON, so the policy refuses no input that the operator would take (but for long lists of
    numbers over 10^22). What it lets through and is too large ends as Failed/InputTooLarge.
    """
    text = "'%s'.format([object.spec.input])"
    for padding, plain in ((", ", ","), (": ", ":"), ("0", "")):
        text += f".replace('{padding}', '{plain}')"
    validation = {
        "expression": f"!has(object.spec.input) || bytes({text}).size() <= {MAX_INPUT_BYTES}",
        "message": f"spec.input: must have at most {MAX_INPUT_BYTES} bytes as JSON:"
        " keep large data elsewhere and pass a reference to it",
        "reason": "RequestEntityTooLarge",
    }
    spec = {"matchConstraints": _tasks("CREATE"), "validations": [validation]}
    return _policy(INPUT_SIZE, spec)


def secrets_policy() -> list[Document]:
    """Return the policy on Tasks that name Secrets or ConfigMaps, and its binding.

    The operator reads and writes them with its own rights, on behalf of whoever creates the Task:
    so that one must have the same rights. A change that leaves the names alone, such as a
    cancellation, is not asked about.
    """
    validations = [
        _may("inputFrom", "get", "secrets", "secret", _READS),
        _may("inputFrom", "get", "configmaps", "configMap", _READS),
        _may("resultTo", "create", "secrets", "result", _STORES, named=False),
        _may("resultTo", "update", "secrets", "result", _STORES),
    ]
    spec = {
        "matchConstraints": _tasks("CREATE", "UPDATE"),
        "matchConditions": _NAMES_SECRETS,
        "variables": [
            _name("secret", "inputFrom.?secretKeyRef"),
            _name("configMap", "inputFrom.?configMapKeyRef"),
            _name("result", "resultTo.?secret"),
        ],
        "validations": validations,
    }
    return _policy(SECRETS, spec)


def no_secrets_policy() -> list[Document]:
    """Return the policy of an installation that leaves Secrets alone, and its binding."""
    validation = {
        "expression": "!has(object.spec.inputFrom) && !has(object.spec.resultTo)",
        "message": "spec.inputFrom, spec.resultTo: this installation neither reads nor writes"
        " Secrets for Tasks (secrets.enabled of its chart): use spec.input, and do without"
        " spec.resultTo",
        "reason": "Forbidden",
    }
    spec = {
        "matchConstraints": _tasks("CREATE", "UPDATE"),
        "matchConditions": _NAMES_SECRETS,
        "validations": [validation],
    }
    return _policy(SECRETS, spec)


def pool_secrets_policy() -> list[Document]:
    """Return the policy on AgentPools whose metrics need Secrets or ConfigMaps, and its binding.

    The operator sends the token in a Secret to the address in the pool, so whoever says where it
    goes must be allowed to get it: to change the address alone asks for the same right.
    """
    spec = {
        "matchConstraints": _on(AGENT_POOL, "CREATE", "UPDATE"),
        "matchConditions": [
            {"name": "names-secrets", "expression": f"{_POLICIES}.exists(one, {_NAMES_ANY})"},
            {
                "name": "is-new-or-changed",
                "expression": "request.operation == 'CREATE' || object.spec.?scaling.?policies"
                " != oldObject.spec.?scaling.?policies",
            },
        ],
        "variables": [
            {"name": "secrets", "expression": _names(_TOKEN, f"{_CA}.?secretKeyRef")},
            {"name": "configMaps", "expression": _names(f"{_CA}.?configMapKeyRef")},
        ],
        "validations": [_may_all("secrets", "Secret"), _may_all("configMaps", "ConfigMap")],
    }
    return _policy(POOL_SECRETS, spec)


_POLICIES: Final = "object.spec.?scaling.?policies.orValue([])"
_TOKEN: Final = "one.?authentication.?secretKeyRef"  # noqa: S105 - where one stands
_CA: Final = "one.?tls.?ca"
_NAMES_ANY: Final = "has(one.authentication) || has(one.tls)"


def _names(*references: str) -> str:
    """Return the expression for the names in some references of all policies."""
    return " + ".join(
        f"{_POLICIES}.filter(one, {reference}.hasValue()).map(one, {reference}.name.orValue(''))"
        for reference in references
    )


def _may_all(variable: str, kind: str) -> Document:
    """Return the rule that the requester may get all objects of some names.

    The message cannot ask the authorizer, so of several names it does not tell which one it is.
    """
    names = f"variables.{variable}"
    asked = f"authorizer.group('').resource('{variable.lower()}').namespace(request.namespace)"
    told = f"({names}.size() == 1 ? '{kind} ' + {names}[0]"
    told += f" : 'all of the {kind}s ' + {names}.join(', '))"
    return {
        "expression": f"{names}.all(name, {asked}.name(name).check('get').allowed())",
        "messageExpression": "'spec.scaling.policies: ' + request.userInfo.username"
        f" + ' may not get ' + {told} + ' in namespace ' + request.namespace + ': whoever creates"
        " or changes a pool must be allowed to read what the operator sends to its metrics"
        " servers'",
        "reason": "Forbidden",
    }


_READS: Final = "whoever creates a Task must be allowed to read its input"
_STORES: Final = "whoever creates a Task must be allowed to store its result"
_NAMES_SECRETS: Final = [
    {
        "name": "names-secrets",
        "expression": "has(object.spec.inputFrom) || has(object.spec.resultTo)",
    },
    {
        "name": "is-new-or-changed",
        "expression": "request.operation == 'CREATE'"
        " || object.spec.?inputFrom != oldObject.spec.?inputFrom"
        " || object.spec.?resultTo != oldObject.spec.?resultTo",
    },
]


def _name(variable: str, reference: str) -> Document:
    return {"name": variable, "expression": f"object.spec.?{reference}.?name.orValue('')"}


def _may(
    field: str, verb: str, resource: str, variable: str, why: str, *, named: bool = True
) -> Document:
    """Return the rule that the requester has a right; a create cannot be limited to a name."""
    name = f"variables.{variable}"
    asked = f"authorizer.group('').resource('{resource}').namespace(request.namespace)"
    asked += f".name({name})" if named else ""
    kind = {"secrets": "Secret", "configmaps": "ConfigMap"}[resource]
    what = f"{kind} ' + {name} + '" if named else f"{kind}s"
    return {
        "expression": f"{name} == '' || {asked}.check('{verb}').allowed()",
        "messageExpression": f"'spec.{field}: ' + request.userInfo.username + ' may not {verb}"
        f" {what} in namespace ' + request.namespace + ': {why}'",
        "reason": "Forbidden",
    }


def _tasks(*operations: str) -> Document:
    return _on(TASK, *operations)


def _on(kind: Kind, *operations: str) -> Document:
    rule = {
        "apiGroups": [GROUP],
        "apiVersions": [VERSION],
        "operations": [*operations],
        "resources": [kind.plural],
    }
    return {"resourceRules": [rule]}


def _policy(name: str, spec: Document) -> list[Document]:
    binding = {"policyName": name, "validationActions": ["Deny"]}
    return [
        _admission("ValidatingAdmissionPolicy", name, {"failurePolicy": "Fail", **spec}),
        _admission("ValidatingAdmissionPolicyBinding", name, binding),
    ]


def _admission(kind: str, name: str, spec: Document) -> Document:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    }


def _text(documents: list[Document]) -> str:
    return "---\n".join(to_yaml(document) for document in documents)
