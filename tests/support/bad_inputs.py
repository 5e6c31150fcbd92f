"""What users get wrong, and the exact words in which the API server refuses it.

docs/reference/bad-inputs.md shows the same list; a unit test compares the two.
"""

from collections.abc import Iterator

from support import bad_payloads, bad_scaling, objects
from support.bad_input import BadInput
from support.objects import pod_template

_NAME_RULE = (
    "must consist of letters, digits, '-', '_', '.' and '/',"
    " and begin and end with a letter or digit"
)
_LABEL_RULE = (
    "must be empty or consist of letters, digits, '-', '_' and '.',"
    " and begin and end with a letter or digit"
)
_QUANTITY_RULE = "must be a quantity that is not negative, such as 500m, 2 or 1Gi"
_FIXED = "cannot be changed after creation (only cancel can): create a new Task instead"
_CONTAINER = "spec.podTemplate.spec.containers[0]"
_LABEL_HINT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.',"
    " and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or"
    " '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


def bounds(path: str, value: int, word: str, bound: int) -> tuple[str]:
    """Return the words for a number out of its bounds."""
    return (
        f"{path}: Invalid value: {value}: {path} in body should be {word} than or equal to {bound}",
    )


def of_type(path: str, given: str, wanted: str) -> tuple[str]:
    """Return the words for a value of a wrong type."""
    text = f'{path}: Invalid value: "{given}": {path} in body must be of type {wanted}: "{given}"'
    return (text,)


def _strict() -> Iterator[BadInput]:
    """Fields that nobody knows."""
    yield BadInput(
        "unknown field",
        "strict validation",
        objects.task(timeoutSecond=60),
        ('unknown field "spec.timeoutSecond"',),
    )
    yield BadInput(
        "unknown field in a pod template",
        "strict validation",
        objects.agent(podTemplate=pod_template(imagePullpolicy="Always")),
        (f'unknown field "{_CONTAINER}.imagePullpolicy"',),
    )


def _pools() -> Iterator[BadInput]:
    """Mistakes in an AgentPool."""
    yield BadInput(
        "replicas as a string",
        "schema",
        objects.pool(replicas="3"),
        (
            *of_type("spec.replicas", "string", "integer"),
            (
                ".spec.replicas: Invalid value: 0: .spec.replicas accessor error: 3 is of the type"
                " string, expected int64"
            ),
        ),
        complete=False,
    )
    yield BadInput(
        "replicas below zero",
        "schema",
        objects.pool(replicas=-1),
        (
            *bounds("spec.replicas", -1, "greater", 0),
            ".spec.replicas: Invalid value: -1: should be a non-negative integer",
        ),
    )
    yield BadInput(
        "a billion replicas",
        "schema",
        objects.pool(replicas=10**9),
        bounds("spec.replicas", 10**9, "less", 10_000),
    )
    image = "spec.template.spec.podTemplate.spec.containers[0].image"
    yield BadInput(
        "missing image",
        "schema",
        objects.pool(agent_spec={"podTemplate": pod_template(image=None)}),
        (f"{image}: Required value",),
        complete=False,
    )
    yield BadInput(
        "image with spaces",
        "CEL",
        objects.pool(agent_spec={"podTemplate": pod_template(image="text agent")}),
        (f'{image}: Invalid value: "text agent": must be the name of an image, without spaces',),
    )
    yield BadInput(
        "pool name over 63 characters",
        "CEL",
        objects.pool("p" * 64),
        (
            (
                "metadata.name: Invalid value: must have at most 57 characters, so that"
                " <name>-<number> fits the 63 of an agent's name"
            ),
        ),
    )
    yield BadInput(
        "pool name with dots",
        "CEL",
        objects.pool("read.ers"),
        (
            (
                "metadata.name: Invalid value: must not contain dots: pods and their host names are"
                " called after it"
            ),
        ),
    )
    yield BadInput(
        "bad label value",
        "API server",
        {**objects.pool(), "metadata": {"name": "readers", "labels": {"team": "a b!"}}},
        (f'metadata.labels: Invalid value: "a b!": {_LABEL_HINT}',),
    )
    template = objects.pool()["spec"]["template"]
    yield BadInput(
        "bad label value in a template",
        "CEL",
        objects.pool(template={**template, "metadata": {"labels": {"team": "a b!"}}}),
        (f'spec.template.metadata.labels[team]: Invalid value: "a b!": {_LABEL_RULE}',),
    )


def _agents() -> Iterator[BadInput]:
    """Mistakes in an Agent, most of them in its pod template."""
    limits = f"{_CONTAINER}.resources.limits"
    yield BadInput(
        'quantity "1GBB"',
        "CEL",
        objects.agent(podTemplate=pod_template(resources={"limits": {"memory": "1GBB"}})),
        (f'{limits}[memory]: Invalid value: "1GBB": {_QUANTITY_RULE}',),
    )
    yield BadInput(
        'fraction without quotes (write "0.5" or 500m)',
        "schema",
        objects.agent(podTemplate=pod_template(resources={"limits": {"cpu": 0.5}})),
        of_type(f"{limits}.cpu", "number", "integer,string"),
        complete=False,
    )
    over = {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}
    yield BadInput(
        "request over limit",
        "CEL",
        objects.agent(podTemplate=pod_template(resources=over)),
        (
            (
                f"{_CONTAINER}.resources.requests: Invalid value: a request must not be greater"
                " than the limit of the same resource"
            ),
        ),
    )
    yield BadInput(
        "port 70000",
        "schema",
        objects.agent(podTemplate=pod_template(ports=[{"containerPort": 70000}])),
        bounds(f"{_CONTAINER}.ports[0].containerPort", 70000, "less", 65535),
    )
    yield BadInput(
        "unknown enum value",
        "schema",
        objects.agent(podTemplate=pod_template(imagePullPolicy="Sometimes")),
        (
            (
                f'{_CONTAINER}.imagePullPolicy: Unsupported value: "Sometimes": supported values:'
                ' "Always", "IfNotPresent", "Never"'
            ),
        ),
        complete=False,
    )
    yield BadInput(
        "self-fence below the heartbeats' reach",
        "schema",
        objects.agent(health={"selfFenceSeconds": 5}),
        bounds("spec.health.selfFenceSeconds", 5, "greater", 15),
    )
    yield BadInput(
        "capability with control characters",
        "CEL",
        objects.agent(capabilities=["sum\x07marise"]),
        (f'spec.capabilities[0]: Invalid value: "sum\\amarise": {_NAME_RULE}',),
    )
    yield BadInput(
        "capability given twice",
        "schema",
        objects.agent(capabilities=["read", "read"]),
        ('spec.capabilities[1]: Duplicate value: "read"',),
    )
    yield BadInput(
        "100,000 capabilities",
        "schema",
        objects.agent(capabilities=[f"c{number}" for number in range(100_000)]),
        ("spec.capabilities: Too many: 100000: must have at most 64 items",),
        complete=False,
    )


def _tasks() -> Iterator[BadInput]:
    """Mistakes in a Task."""
    for title, value in (("timeout of zero", 0), ("negative timeout", -1)):
        yield BadInput(
            title,
            "schema",
            objects.task(timeoutSeconds=value),
            bounds("spec.timeoutSeconds", value, "greater", 1),
        )
    yield BadInput(
        'timeout of "5 parsecs"',
        "schema",
        objects.task(timeoutSeconds="5 parsecs"),
        of_type("spec.timeoutSeconds", "string", "integer"),
        complete=False,
    )
    whom = (
        "spec: Invalid value: give either pool or agentSelector: they say which agents may do"
        " the work"
    )
    yield BadInput(
        "neither pool nor agentSelector",
        "CEL",
        {**objects.task(), "spec": {"requires": ["read"]}},
        (whom,),
    )
    yield BadInput("pool and agentSelector", "CEL", objects.task(agentSelector={}), (whom,))
    yield BadInput(
        "agentSelector that compares with nothing",
        "CEL",
        {
            **objects.task(),
            "spec": {"agentSelector": {"matchExpressions": [{"key": "size", "operator": "In"}]}},
        },
        (
            (
                "spec.agentSelector.matchExpressions[0].values: Invalid value: must be given with"
                " In and NotIn, and only with them"
            ),
        ),
    )
    yield BadInput(
        "a million retries",
        "schema",
        objects.task(retry={"limit": 10**6}),
        bounds("spec.retry.limit", 10**6, "less", 100),
    )
    yield BadInput(
        "negative back-off",
        "schema",
        objects.task(retry={"backoffSeconds": -1}),
        bounds("spec.retry.backoffSeconds", -1, "greater", 0),
    )
    yield BadInput(
        "back-off over its own limit",
        "CEL",
        objects.task(retry={"backoffSeconds": 301, "maxBackoffSeconds": 300}),
        (("spec.retry.backoffSeconds: Invalid value: must not be greater than maxBackoffSeconds"),),
    )
    yield BadInput(
        "unknown reason to retry",
        "schema",
        objects.task(retry={"reasons": ["Timeouts"]}),
        (
            (
                'spec.retry.reasons[0]: Unsupported value: "Timeouts": supported values:'
                ' "AgentLost", "Timeout", "AgentError"'
            ),
        ),
        complete=False,
    )
    yield BadInput(
        "ttl of ten years",
        "schema",
        objects.task(ttlSecondsAfterFinished=315_360_000),
        bounds("spec.ttlSecondsAfterFinished", 315_360_000, "less", 31_536_000),
    )
    yield BadInput(
        '"yes" for true',
        "schema",
        objects.task(cancel="yes"),
        of_type("spec.cancel", "string", "boolean"),
        complete=False,
    )
    yield BadInput(
        "input that is a list",
        "schema",
        objects.task(input=["a", "b"]),
        of_type("spec.input", "array", "object"),
        complete=False,
    )


def _changes() -> Iterator[BadInput]:
    """Changes that a Task does not allow."""
    before = objects.task(input={"text": "a"}, ttlSecondsAfterFinished=60)
    yield BadInput(
        "changed Task spec",
        "CEL",
        objects.task(input={"text": "b"}, priority=5, ttlSecondsAfterFinished=60),
        (f"spec.input: Invalid value: {_FIXED}", f"spec.priority: Invalid value: 5: {_FIXED}"),
        before=before,
    )
    yield BadInput(
        "field taken out of a Task",
        "CEL",
        objects.task(input={"text": "a"}),
        (f"spec.ttlSecondsAfterFinished: Invalid value: {_FIXED}",),
        before=before,
    )
    yield BadInput(
        "cancellation taken back",
        "CEL",
        objects.task(cancel=False),
        (
            (
                "spec.cancel: Invalid value: a cancellation cannot be taken back:"
                " create a new Task instead"
            ),
        ),
        before=objects.task(cancel=True),
    )


BAD_INPUTS = (
    *_strict(),
    *_pools(),
    *bad_scaling.pools(),
    *_agents(),
    *_tasks(),
    *bad_payloads.payloads(),
    *_changes(),
)
