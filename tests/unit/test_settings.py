"""Settings: good ones read, bad ones named."""

from pathlib import Path

import pytest

from agentcorps.settings import Settings, SettingsError

NOWHERE = Path("/does/not/exist")
BASE = {"AGENTCORPS_NAMESPACE": "agentcorps-system"}


def read(**environ: str) -> Settings:
    """Read settings from an environment of these variables and a namespace."""
    return Settings.from_environ(BASE | environ, namespace_file=NOWHERE)


def test_defaults() -> None:
    """A namespace is all that must be given; the rest has the defaults of the reference."""
    settings = read()
    assert settings.watch_namespaces == ()
    assert (settings.gateway_port, settings.probe_port) == (8443, 8080)
    assert settings.metrics_port == 8444
    assert settings.gateway_url == "https://agentcorps-gateway.agentcorps-system.svc:8443"
    assert (settings.log_level, settings.log_format) == ("INFO", "json")
    assert settings.secrets == "Any"
    assert settings.prometheus_servers == ()
    assert settings.lease_seconds == 15
    assert (settings.renew_seconds, settings.retry_seconds) == (10, 2)
    assert settings.aging_seconds == 60
    assert (settings.min_runtime_seconds, settings.unschedulable_seconds) == (60, 300)
    assert settings.pod_ip == ""
    assert settings.identity


def test_everything_can_be_set() -> None:
    """Every variable reaches its field."""
    settings = read(
        AGENTCORPS_IDENTITY="operator-7",
        AGENTCORPS_POD_IP="10.1.0.7",
        AGENTCORPS_WATCH_NAMESPACES=" a, b,a ,",
        AGENTCORPS_GATEWAY_PORT="9443",
        AGENTCORPS_PROBE_PORT="9080",
        AGENTCORPS_METRICS_PORT="9444",
        AGENTCORPS_GATEWAY_URL="https://gate.example:1/",
        AGENTCORPS_LOG_LEVEL="debug",
        AGENTCORPS_LOG_FORMAT="TEXT",
        AGENTCORPS_SECRETS="labelled",
        AGENTCORPS_PROMETHEUS_SERVERS="https://Prom:9090/, http://[::1],",
        AGENTCORPS_LEASE_SECONDS="30",
        AGENTCORPS_LEASE_RENEW_SECONDS="20.5",
        AGENTCORPS_LEASE_RETRY_SECONDS="4",
        AGENTCORPS_KUBECONFIG="/some/config",
        AGENTCORPS_CONTEXT="there",
        AGENTCORPS_AGING_SECONDS="7.5",
    )
    assert settings.identity == "operator-7"
    assert settings.pod_ip == "10.1.0.7"
    assert settings.watch_namespaces == ("a", "b")
    assert (settings.gateway_port, settings.probe_port) == (9443, 9080)
    assert settings.metrics_port == 9444
    assert settings.gateway_url == "https://gate.example:1"
    assert (settings.log_level, settings.log_format) == ("DEBUG", "text")
    assert settings.aging_seconds == 7.5
    assert settings.secrets == "Labelled"
    assert settings.prometheus_servers == ("https://prom:9090", "http://[::1]")
    assert settings.lease_seconds == 30
    assert (settings.renew_seconds, settings.retry_seconds) == (20.5, 4)
    assert (settings.kubeconfig, settings.context) == ("/some/config", "there")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AGENTCORPS_NAMESPACE", "Not_A_Namespace"),
        ("AGENTCORPS_WATCH_NAMESPACES", "good,BAD"),
        ("AGENTCORPS_POD_IP", "10.1.0"),
        ("AGENTCORPS_GATEWAY_PORT", "70000"),
        ("AGENTCORPS_GATEWAY_PORT", "0"),
        ("AGENTCORPS_PROBE_PORT", "http"),
        ("AGENTCORPS_PROBE_PORT", "-1"),
        ("AGENTCORPS_METRICS_PORT", "off"),
        ("AGENTCORPS_GATEWAY_URL", "http://gate.example"),
        ("AGENTCORPS_GATEWAY_URL", "https://"),
        ("AGENTCORPS_GATEWAY_URL", "https://host:port"),
        ("AGENTCORPS_LOG_LEVEL", "LOUD"),
        ("AGENTCORPS_LOG_FORMAT", "xml"),
        ("AGENTCORPS_AGING_SECONDS", "0"),
        ("AGENTCORPS_SECRETS", "some"),
        ("AGENTCORPS_PROMETHEUS_SERVERS", "prom:9090"),
        ("AGENTCORPS_PROMETHEUS_SERVERS", "https://prom/path"),
        ("AGENTCORPS_PROMETHEUS_SERVERS", "https://me@prom"),
        ("AGENTCORPS_LEASE_SECONDS", "nan"),
        ("AGENTCORPS_LEASE_SECONDS", "0"),
        ("AGENTCORPS_LEASE_RENEW_SECONDS", "15"),
        ("AGENTCORPS_LEASE_RETRY_SECONDS", "10"),
    ],
)
def test_bad_values_are_named(name: str, value: str) -> None:
    """A value that cannot be used is refused in one line that names its variable."""
    with pytest.raises(SettingsError) as caught:
        read(**{name: value})
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_namespace_of_the_pod(tmp_path: Path) -> None:
    """In a pod the namespace is the service account's; without either it is asked for by name."""
    file = tmp_path / "namespace"
    file.write_text("from-the-pod\n", encoding="utf-8")
    assert Settings.from_environ({}, namespace_file=file).namespace == "from-the-pod"
    with pytest.raises(SettingsError, match="AGENTCORPS_NAMESPACE"):
        Settings.from_environ({}, namespace_file=NOWHERE)


def test_where_the_kubeconfig_comes_from() -> None:
    """An explicit path wins over the pod's credentials, these win over KUBECONFIG."""
    within = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    assert read(**within, AGENTCORPS_KUBECONFIG="/mine").kubeconfig == "/mine"
    assert read(**within, KUBECONFIG="/other").kubeconfig is None
    assert read(KUBECONFIG="/other").kubeconfig == "/other"
    assert str(read().kubeconfig).endswith(".kube/config")


def test_empty_means_absent() -> None:
    """An empty variable is as good as none."""
    assert read(AGENTCORPS_GATEWAY_PORT="", AGENTCORPS_LOG_LEVEL=" ") == read()


def test_metrics_can_be_left_out() -> None:
    """Port 0 serves no metrics."""
    assert read(AGENTCORPS_METRICS_PORT="0").metrics_port is None
