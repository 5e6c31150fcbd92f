"""Where the metrics of a pool's policies come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from agentcorps.api.metrics import DEFAULT_POLLING_SECONDS, DEFAULT_TIMEOUT_SECONDS
from agentcorps.api.scaling_policy import PolicyType
from agentcorps.core.label_selector import parse_selector, selector_text
from agentcorps.core.records import InputSource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentcorps.api.metrics import CertificateAuthority
    from agentcorps.api.payloads import KeyRef
    from agentcorps.api.scaling import Scaling
    from agentcorps.api.scaling_policy import ScalingPolicy

HTTPS: Final = "https://"
METRICS: Final = frozenset({PolicyType.PROMETHEUS, PolicyType.EXTERNAL})
"""Types of policies that ask for agents by a metric."""


class PrometheusSource(NamedTuple):
    """A query to a Prometheus server."""

    address: str
    query: str
    timeout_seconds: int = DEFAULT_TIMEOUT_SECONDS
    polling_seconds: int = DEFAULT_POLLING_SECONDS
    token: InputSource | None = None
    """Where a bearer token stands, in the pool's namespace."""
    authority: InputSource | None = None
    """Where certificates of authorities stand; None: those that the system trusts."""
    server_name: str = ""
    """Name in the server's certificate; empty: that of the address."""

    @property
    def server(self) -> str:
        """Who is asked."""
        return self.address


class ExternalSource(NamedTuple):
    """A metric of external.metrics.k8s.io."""

    metric: str
    selector: str = ""
    """As the API server takes it."""
    timeout_seconds: int = DEFAULT_TIMEOUT_SECONDS
    polling_seconds: int = DEFAULT_POLLING_SECONDS

    @property
    def server(self) -> str:
        """Who is asked."""
        return "external.metrics.k8s.io"


Source = PrometheusSource | ExternalSource


def sources(scaling: Scaling) -> dict[int, Source]:
    """Return the source of each policy that has one, by the policy's position."""
    found = ((number, source_of(policy)) for number, policy in enumerate(scaling.policies))
    return {number: source for number, source in found if source is not None}


def source_of(policy: ScalingPolicy) -> Source | None:
    """Return where the metric of a policy comes from; None for one without a metric."""
    timeout = policy.timeout_seconds or DEFAULT_TIMEOUT_SECONDS
    interval = policy.polling_interval_seconds or DEFAULT_POLLING_SECONDS
    if policy.server_address is not None and policy.query is not None:
        proof, tls = policy.authentication, policy.tls
        return PrometheusSource(
            policy.server_address.rstrip("/"),
            policy.query,
            timeout,
            interval,
            None if proof is None else _key(proof.secret_key_ref, "Secret"),
            None if tls is None else _authority(tls.ca),
            (tls.server_name or "") if tls is not None else "",
        )
    if policy.metric is not None:
        wanted = policy.metric.selector
        written: Mapping[str, object] = {} if wanted is None else wanted.to_api()
        selector = selector_text(parse_selector(written, "selector"))
        return ExternalSource(policy.metric.name, selector, timeout, interval)
    return None


def problem(policies: Sequence[ScalingPolicy]) -> str:
    """Return what is wrong with the first policy whose metric cannot be asked for; else nothing.

    The CRD refuses all of this; what it stored before a rule was added may break it.
    """
    for number, policy in enumerate(policies):
        if policy.type not in METRICS:
            continue
        path = f"spec.scaling.policies[{number}]"
        target = policy.target
        if source_of(policy) is None or target is None:
            return f"{path}: lacks what a policy of type {policy.type.value} needs"
        if (target.value if target.type == "Value" else target.average_value) is None:
            return f"{path}.target: has no value for its type"
        address = policy.server_address or HTTPS
        if policy.authentication is not None and not address.startswith(HTTPS):
            return f"{path}.authentication: a token is sent over https only"
    return ""


def _authority(ca: CertificateAuthority | None) -> InputSource | None:
    if ca is None:
        return None
    if ca.secret_key_ref is not None:
        return _key(ca.secret_key_ref, "Secret")
    return None if ca.config_map_key_ref is None else _key(ca.config_map_key_ref, "ConfigMap")


def _key(reference: KeyRef, kind: str) -> InputSource:
    return InputSource(kind, reference.name, reference.key)
