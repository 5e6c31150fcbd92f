"""The gateway of a running operator is true to its OpenAPI document, whatever it is sent.

schemathesis generates calls, good and malformed ones, from the document; a real API server vouches
for the token, and stores what is reported.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import BaseSchema, Case, CheckFunction, checks
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi import checks as openapi

from agentcorps.api.protocol import MAX_WAIT_SECONDS, PROTOCOL_VERSION
from generate.openapi import document
from support.kubectl import Kubectl
from support.live_agent import pod_token
from support.poll import until
from support.stage import POOL, Stage

EXAMPLES = 40
"""Random ones of each call; those at the edges of each field come on top."""
CALLS_PER_SECOND = 40
"""Fewer than the gateway allows a pod: its limits are as they are everywhere."""
CALL_SECONDS = 20
POD = f"{POOL}-0"
INSTANCE = "fuzzed-instance"
WELL_FORMED = re.compile(r"[A-Za-z0-9-]{8,64}", re.ASCII)
NUMBERS = {int, float}
CHECKED: list[CheckFunction] = [
    checks.not_a_server_error,
    openapi.status_code_conformance,
    openapi.content_type_conformance,
    openapi.response_headers_conformance,
    openapi.response_schema_conformance,
    openapi.negative_data_rejection,
    openapi.positive_data_acceptance,
    openapi.unsupported_method,
    openapi.ignored_auth,
]


def described() -> BaseSchema:
    """Return the document as schemathesis reads it."""
    config = SchemathesisConfig.from_dict(
        {
            "rate-limit": f"{CALLS_PER_SECOND}/s",
            "generation": {"with-security-parameters": False},
            # What no schema can say: whose attempt it is, whether it is stale, how large a result.
            "checks": {
                "positive_data_acceptance": {
                    "expected-statuses": ["2xx", "403", "404", "409", "413"]
                },
            },
        }
    )
    return schemathesis.openapi.from_dict(document(), config=config)


schema = described()


@dataclass(frozen=True, slots=True)
class Gateway:
    """The gateway as an agent sees it."""

    url: str
    authority: str
    """Path of a PEM file."""
    token: str
    session: requests.Session

    @property
    def headers(self) -> dict[str, str]:
        """What each call bears."""
        return {"Authorization": f"Bearer {self.token}"}

    def call(self, path: str, **body: Any) -> requests.Response:
        """Call as the agent does."""
        answer = self.session.post(
            self.url + path,
            json={"instance": INSTANCE, **body},
            headers=self.headers,
            verify=self.authority,
            timeout=CALL_SECONDS,
        )
        answer.raise_for_status()
        return answer

    def check(self, case: Case[Any]) -> None:
        """Send a generated call, and hold the answer against the document."""
        case.call_and_validate(
            base_url=self.url,
            session=self.session,
            headers=self.headers,
            checks=CHECKED,
            verify=self.authority,
            timeout=CALL_SECONDS,
        )


@pytest.fixture(scope="module")
def stage(cluster: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Return a stage in a namespace of its own, with an operator that leads and one agent's pod."""
    namespace = f"test-{uuid4().hex[:8]}"
    assert cluster.run("create", "namespace", namespace).ok
    with Stage(cluster.within(namespace), namespace, tmp_path_factory.mktemp("gateway")) as made:
        made.lead()
        made.pool(1)
        until(lambda: made.kubectl.run("get", "pod", POD).ok, f"pod {POD}")
        yield made
    cluster.run("delete", "namespace", namespace, "--wait=false")


@pytest.fixture(scope="module")
def gateway(stage: Stage) -> Iterator[Gateway]:
    """Return the gateway, and a token that it takes."""
    authority = stage.folder / "authority.pem"
    authority.write_text(stage.authority)
    url = f"https://localhost:{stage.replicas[0].process.gateway_port}"
    with requests.Session() as session:
        yield Gateway(url, str(authority), pod_token(stage.kubectl, POD), session)


@pytest.fixture
def attempt(stage: Stage, gateway: Gateway) -> Iterator[dict[str, Any]]:
    """Return the path parameters of an attempt that was just delivered to a connected agent."""
    gateway.call("/v1/hello", protocolVersion=PROTOCOL_VERSION, slots=1)
    (name,) = stage.submit(1, prefix=f"t-{uuid4().hex[:6]}-")

    def delivered() -> int | None:
        answer = gateway.call("/v1/tasks/next", free=1, wait=5)
        tasks = answer.json()["tasks"] if answer.content else []
        found: list[int] = [one["attempt"] for one in tasks if one["name"] == name]
        return found[0] if found else None

    yield {"uid": stage.created[name], "attempt": until(delivered, f"delivery of {name}")}
    stage.delete_task(name)


def aim(case: Case[Any], attempt: dict[str, Any]) -> None:
    """Have a call speak for the connected agent, wherever what it says is well-formed."""
    if case.path_parameters and WELL_FORMED.fullmatch(str(case.path_parameters.get("uid"))):
        case.path_parameters = {**case.path_parameters, "uid": attempt["uid"]}
        if case.path_parameters.get("attempt") == 1:
            case.path_parameters = attempt
    body: Any = case.body
    if not isinstance(body, dict):
        return
    changes: dict[str, Any] = {}
    if isinstance(body.get("instance"), str) and WELL_FORMED.fullmatch(body["instance"]):
        changes["instance"] = INSTANCE
    # One version is spoken today; and a poll need not be waited for, only be asked.
    if type(body.get("protocolVersion")) in NUMBERS and body["protocolVersion"] in range(1, 1001):
        changes["protocolVersion"] = PROTOCOL_VERSION
    if type(body.get("wait")) in NUMBERS and 0 <= body["wait"] <= MAX_WAIT_SECONDS:
        changes["wait"] = 0
    if changes:
        case.body = body | changes


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_answers_are_as_documented(
    case: Case[Any], gateway: Gateway, attempt: dict[str, Any]
) -> None:
    """Good calls are taken, bad ones refused, and every answer is one that the document knows."""
    aim(case, attempt)
    gateway.check(case)


def test_no_call_upset_the_operator(stage: Stage, attempt: dict[str, Any]) -> None:
    """After all that the operator still delivers; its log holds neither an error nor an input."""
    assert attempt["attempt"] == 1
    log = stage.replicas[0].process.log.read_text()
    assert '"level": "error"' not in log
    assert stage.canary not in log
