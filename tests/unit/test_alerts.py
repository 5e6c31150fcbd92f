"""The alerting rules name metrics and labels that exist, and say what to do."""

import re
from typing import Any

import pytest

from agentcorps.adapters.metrics.definitions import DEFINITIONS, Type
from generate.metrics_reference import PATH, alerts, generated_files

BY_NAME = {
    f"{one.name}{suffix}": one
    for one in DEFINITIONS
    for suffix in (("_bucket", "_count", "_sum") if one.type is Type.HISTOGRAM else ("",))
}
NAME = re.compile(r"\bagentcorps_\w+")
MATCHER = re.compile(r'(agentcorps_\w+)\{(\w+)=~?"([^"]*)"\}')
TEMPLATE = re.compile(r"\$labels\.(\w+)")
ALERTS = alerts()


def name(alert: dict[str, Any]) -> str:
    """Return the name of an alert."""
    return str(alert["alert"])


@pytest.mark.parametrize("alert", ALERTS, ids=name)
def test_expressions_name_metrics_that_exist(alert: dict[str, Any]) -> None:
    """Each metric is one of ours, each value that is matched one that it can have."""
    named = NAME.findall(alert["expr"])
    assert named
    assert set(named) <= set(BY_NAME)
    for metric, label, values in MATCHER.findall(alert["expr"]):
        assert label in BY_NAME[metric].labels
        assert set(values.split("|")) <= BY_NAME[metric].words


@pytest.mark.parametrize("alert", ALERTS, ids=name)
def test_alerts_say_what_is_wrong_and_what_to_do(alert: dict[str, Any]) -> None:
    """A summary, a description, a severity; and only labels that the expression leaves."""
    told = alert["annotations"]
    assert told["summary"]
    assert len(told["description"]) > 60
    assert alert["labels"]["severity"] in {"critical", "warning"}
    given = {label for one in NAME.findall(alert["expr"]) for label in BY_NAME[one].labels}
    assert set(TEMPLATE.findall(told["summary"] + told["description"])) <= given | {"instance"}


@pytest.mark.parametrize("alert", ALERTS, ids=name)
def test_descriptions_name_metrics_that_exist(alert: dict[str, Any]) -> None:
    """A metric that somebody is told to look at is there."""
    assert set(NAME.findall(alert["annotations"]["description"])) <= set(BY_NAME)


def test_the_reference_is_complete() -> None:
    """Every metric and every alert stands in it, and no template is left over."""
    text = generated_files()[PATH]
    assert [one.name for one in DEFINITIONS if f"| `{one.name}` |" not in text] == []
    assert [name(one) for one in ALERTS if f"### {name(one)}\n" not in text] == []
    assert "{{" not in text
