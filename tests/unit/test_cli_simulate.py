"""`agentcorps simulate`: made-up Tasks, options, manifests, and what is printed."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentcorps.cli.main import main
from agentcorps.cli.simulation_report import blocks, quantile
from agentcorps.cli.traffic import Arrivals, Services, Shape
from support.simulations import fixed

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
EXAMPLE = EXAMPLES / "autoscaled-pool.yaml"
METRIC_EXAMPLE = EXAMPLES / "metrics-pool.yaml"
DAY = 86_400
TRANSCRIPTS: list[tuple[str, str]] = re.findall(
    r"^```console\n\$ agentcorps (simulate .*)\n((?:.*\n)*?)```$",
    (ROOT / "docs/guides/scale-a-pool.md").read_text(),
    re.MULTILINE,
)


def simulated(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    """Return the JSON of a simulation of the example."""
    assert main(["simulate", "-f", str(EXAMPLE), *options, "-o", "json"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


@pytest.fixture
def three(tmp_path: Path) -> str:
    """A List of three pools and a quota, as kubectl prints it."""
    pool = yaml.safe_load(EXAMPLE.read_text())
    items = [
        {
            **pool,
            "metadata": {"name": f"p{weight}"},
            "spec": {**pool["spec"], "quota": {"weight": weight}},
        }
        for weight in (1, 2, 4)
    ]
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "team"},
        "spec": {"hard": {"pods": "14"}},
        "status": {"hard": {"pods": "3"}, "used": {"pods": "3"}},
    }
    path = tmp_path / "all.yaml"
    path.write_text(yaml.safe_dump({"kind": "List", "items": [*items, quota]}))
    return str(path)


@pytest.mark.parametrize("shape", Shape)
def test_shapes_have_the_given_rate_on_average(shape: Shape) -> None:
    """Over a day each shape brings as many Tasks as its rate says, in order."""
    told = Arrivals.parse(f"{shape}:0.5")
    found = list(told.times(DAY, fixed(3)))
    assert len(found) == pytest.approx(0.5 * DAY, rel=0.03)
    assert found == sorted(found)
    assert 0 <= found[0] <= found[-1] < DAY


def test_a_period_is_that_of_the_wave() -> None:
    """A square wave is on for the first half of its period, bursts come at its beginning."""
    wave = Arrivals.parse("square:2:100")
    assert [wave.rate_at(at) for at in (0, 49, 50, 99, 100)] == [4, 4, 0, 0, 4]
    assert list(Arrivals.parse("bursts:0.02:100").times(250, fixed(1))) == [
        0,
        0,
        100,
        100,
        200,
        200,
    ]


@pytest.mark.parametrize("service", ["constant:8", "exponential:8", "lognormal:8:0.5", "file"])
def test_times_of_service_have_the_given_mean(service: str, tmp_path: Path) -> None:
    """Each distribution has the mean that was asked for; a file's times have their own."""
    path = tmp_path / "seen.csv"
    path.write_text("1,4\n2,12\n")
    draw = Services.parse(f"file:{path}" if service == "file" else service).draws(fixed(5))
    assert sum(draw() for _ in range(50_000)) / 50_000 == pytest.approx(8.0, rel=0.05)


def test_a_trace_is_simulated_as_it_is(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A trace of two Tasks on the example's pool: the numbers are those of the trace."""
    trace = tmp_path / "trace.csv"
    trace.write_text("0,10\n100,20\n")
    told = simulated(capsys, "--trace", str(trace), "--start-seconds", "5")["pools"][0]
    assert (told["tasks"], told["waitSeconds"]["max"], told["missedWaits"]) == (2, 5.0, 0)
    assert told["maxWaitSeconds"] == 30
    trace.write_text("0\n100\n")
    told = simulated(capsys, "--trace", str(trace), "--service", "constant:7")["pools"][0]
    assert told["agentHours"] - told["idleAgentHours"] == pytest.approx(14 / 3600, abs=0.001)


def test_a_trace_may_have_names_and_an_end(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A first line of names is no Task, and --hours leaves out what comes later."""
    trace = tmp_path / "trace.csv"
    trace.write_text("at,seconds\n0,10\n100,20\n5000,20\n")
    assert simulated(capsys, "--trace", str(trace))["pools"][0]["tasks"] == 3
    assert simulated(capsys, "--trace", str(trace), "--hours", "1")["pools"][0]["tasks"] == 2
    trace.write_text("5000,20\n")
    assert main(["simulate", "-f", str(EXAMPLE), "--trace", str(trace), "--hours", "1"]) == 2
    assert "its first Task comes after --hours 1" in capsys.readouterr().err


def test_tasks_come_for_a_whole_period(capsys: pytest.CaptureFixture[str]) -> None:
    """Unless --hours says else, a day of a sine that begins at its lowest is simulated."""
    told = simulated(capsys, "--arrivals", "diurnal:0.01")
    assert told["pools"][0]["tasks"] == pytest.approx(864, rel=0.1)
    assert told["hours"] > 12


def test_nothing_is_said_of_waits_that_nobody_had(capsys: pytest.CaptureFixture[str]) -> None:
    """Of a pool that starts no Task there are no percentiles, and the culprit is named."""
    options = ["--hours", "0.1", "--quota", "cpu=1m"]
    told = simulated(capsys, *options)["pools"][0]
    assert told["waitSeconds"] == {"p50": None, "p90": None, "p99": None, "max": None}
    assert told["neverStarted"] == told["tasks"] > 0
    assert main(["simulate", "-f", str(EXAMPLE), *options]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[1].split()[2:6] == ["-"] * 4
    assert "scalers: cpu of ResourceQuota simulated limits it for" in said
    assert "given up after" in said


def test_a_quota_of_something_else_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """A resource that no pod takes limits nothing, which people may not have meant."""
    options = ["--hours", "0.01", "--quota", "gpu=1,cpu=1"]
    assert main(["simulate", "-f", str(EXAMPLE), *options]) == 0
    said = capsys.readouterr().err
    assert "--quota: no pod of these pools takes gpu: it limits nothing" in said
    assert "takes cpu" not in said


def test_preemption_is_that_of_the_manifest(
    three: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With quota.preemption agents at work are drained for a share, after the least runtime."""
    whole = yaml.safe_load(Path(three).read_text())
    for pool in whole["items"][:3]:
        pool["spec"]["scaling"]["maxReplicas"] = 14
        pool["spec"]["quota"]["preemption"] = "Drain"
    path = tmp_path / "preempting.yaml"
    path.write_text(yaml.safe_dump(whole))
    trace, late = tmp_path / "trace.csv", tmp_path / "late.csv"
    trace.write_text("0,90\n" * 40)
    late.write_text("100,90\n" * 40)
    options = ["simulate", "-f", str(path), "--trace", f"p1={trace}", "--trace", str(late)]
    assert main([*options, "-o", "json"]) == 0
    told = {one["name"]: one for one in json.loads(capsys.readouterr().out)["pools"]}
    assert told["p1"]["preemptedAgents"] > 0
    assert told["p4"]["preemptedAgents"] == 0
    assert told["p1"]["outlastingTasks"] > 0
    assert main([*options, "--min-runtime-seconds", "9999"]) == 0
    assert "are drained for other pools' shares" not in capsys.readouterr().out
    assert main(options) == 0
    said = capsys.readouterr().out
    assert "p1: " in said
    assert "agents at work are drained for other pools' shares" in said
    assert "Tasks take longer than drainTimeoutSeconds leaves them" in said


def test_the_same_seed_gives_the_same_answer(capsys: pytest.CaptureFixture[str]) -> None:
    """All numbers repeat with a seed, and another seed has others."""
    one, two = (simulated(capsys, "--arrivals", "diurnal:0.5") for _ in range(2))
    assert one == two
    assert one != simulated(capsys, "--arrivals", "diurnal:0.5", "--seed", "2")


def test_several_pools_share_a_quota(three: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each pool has Tasks of its own; --quota replaces what the manifest says."""
    options = ["simulate", "-f", three, "--arrivals", "poisson:1", "--arrivals", "p4=poisson:0.1"]
    options += ["--hours", "0.3", "-o", "json"]
    assert main(options) == 0
    few = {one["name"]: one for one in json.loads(capsys.readouterr().out)["pools"]}
    assert few["p4"]["tasks"] < few["p1"]["tasks"] / 5
    assert few["p1"]["quotaLimitedHours"] > 0
    assert few["p1"]["mostAgents"] > 3
    assert main([*options, "--quota", "pods=100,requests.cpu=50"]) == 0
    many = {one["name"]: one for one in json.loads(capsys.readouterr().out)["pools"]}
    assert many["p1"]["quotaLimitedHours"] == 0
    assert many["p1"]["waitSeconds"]["p50"] < few["p1"]["waitSeconds"]["p50"]


def test_nodes_that_must_start_cost_time(capsys: pytest.CaptureFixture[str]) -> None:
    """With full nodes Tasks wait longer, and nodes are counted."""
    always = simulated(capsys, "--hours", "0.3")
    full = simulated(capsys, "--hours", "0.3", "--node", "cpu=100m", "--node-start-seconds", "120")
    assert full["nodes"]["most"] == 5
    assert "nodes" not in always
    waits = [told["pools"][0]["waitSeconds"]["p50"] for told in (always, full)]
    assert waits[0] < waits[1]


def test_people_get_a_table_and_lines(three: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The table has a row for each pool, and lines of blocks show agents and queue."""
    assert main(["simulate", "-f", three, "--hours", "0.2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["POOL", "TASKS", "P50"]
    assert [line.split()[0] for line in lines[1:4]] == ["p1", "p2", "p4"]
    assert any(line.startswith("p4 queued") and "█" in line for line in lines)
    assert any("pods of ResourceQuota team limits it for" in line for line in lines)


def test_a_plot_is_drawn(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The same simulation draws the same picture, and prints its numbers all the same."""
    first, second = tmp_path / "a.svg", tmp_path / "b.svg"
    for path in (first, second):
        simulated(capsys, "--hours", "0.2", "--plot", str(path))
    assert first.read_text().startswith("<?xml")
    assert first.read_bytes() == second.read_bytes()


def test_a_plot_without_its_library_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Where matplotlib is missing the error names the extra, before anything is simulated."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["simulate", "-f", str(EXAMPLE), "--plot", str(tmp_path / "a.png")]) == 2
    assert "pip install 'agentcorps[plot]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("1;2", "must be one or two numbers"),
        ("1,2,3", "must be one or two numbers"),
        ("1,-2", "must be positive"),
        ("1,nan", "must be positive"),
    ],
)
def test_a_bad_trace_is_refused_with_its_line(
    line: str, problem: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """What is no trace ends with 2 and one line that names the place."""
    trace = tmp_path / "trace.csv"
    trace.write_text(f"0,1\n{line}\n")
    assert main(["simulate", "-f", str(EXAMPLE), "--trace", str(trace)]) == 2
    said = capsys.readouterr().err
    assert "trace.csv line 2:" in said
    assert problem in said


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--arrivals", "poisson"], "--arrivals must be SHAPE:RATE"),
        (["--arrivals", "poisson:1:2"], "--arrivals must be SHAPE:RATE"),
        (["--arrivals", "sinus:1"], "shapes: poisson, square, diurnal, bursts"),
        (["--arrivals", "poisson:-1"], "its numbers must be above 0"),
        (["--arrivals", "poisson:1e6"], "at most 2e+07 are simulated"),
        (["--arrivals", "readers=poisson:1"], "must be one of scalers"),
        (
            ["--arrivals", "poisson:1", "--arrivals", "square:1"],
            "is given twice for all AgentPools",
        ),
        (["--arrivals", "poisson:1", "--trace", str(EXAMPLE)], "are both given for all AgentPools"),
        (["--service", "lognormal:1:9"], "SIGMA must be at most 4"),
        (["--service", "lognormal:x"], "--service must be KIND:SECONDS"),
        (["--service", "constant:1:2"], "--service must be KIND:SECONDS"),
        (["--service", "file:/nowhere.csv"], "/nowhere.csv: no such file"),
        (["--trace", "/nowhere.csv"], "/nowhere.csv: no such file"),
        (["--trace", str(EXAMPLES)], "examples: is a directory"),
        (["--hours", "0"], "--hours must be above 0"),
        (["--hours", "nan"], "--hours must be above 0"),
        (["--start-seconds", "-1"], "--start-seconds must be at least 0"),
        (["--stop-seconds", "nan"], "--stop-seconds must be at least 0"),
        (["--min-runtime-seconds", "-1"], "--min-runtime-seconds must be at least 0"),
        (["--max-wait", "-1"], "--max-wait must be at least 0"),
        (["--max-wait", "nan"], "--max-wait must be at least 0"),
        (["--quota", "40"], "--quota must be RESOURCE=QUANTITY"),
        (["--quota", "cpu=many"], "cpu must be a quantity"),
        (["--quota", "cpu=-1"], "cpu must be at least 0"),
        (["--quota", "cpu=4,cpu=5"], "cpu is given twice"),
        (["--nodes", "3"], "--nodes needs --node"),
        (["--max-nodes", "3"], "--max-nodes needs --node"),
        (["--node-start-seconds", "3"], "--node-start-seconds needs --node"),
        (["--node", "cpu=1", "--node-start-seconds", "inf"], "--node-start-seconds must be"),
        (["--node", "cpu=10m"], "a pod of AgentPool scalers takes more cpu than a node has"),
        (["--node", "cpu=1", "--max-nodes", "20000"], "and that below 10001"),
        (["--node", "cpu"], "--node must be RESOURCE=QUANTITY"),
        (["--node", "cpu=1", "--nodes", "5", "--max-nodes", "2"], "--nodes must lie between"),
        (["--node", "cpu=1", "--node-start-seconds", "-5"], "--node-start-seconds must be"),
        (["--plot", "a.gif"], "--plot must end with .svg, .png, .pdf"),
        (["--plot", "/nowhere/a.svg"], "there is no folder /nowhere"),
        (["-o", "name"], "-o name fits objects"),
        (["-f", str(EXAMPLE)], "there is a second AgentPool scalers"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    options: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each ends with 2 and one line that says what was wrong."""
    hours = [] if "--hours" in options or "poisson:1e6" in options else ["--hours", "0.01"]
    assert main(["simulate", "-f", str(EXAMPLE), *hours, *options]) == 2
    assert problem in capsys.readouterr().err


def test_policies_by_metrics_are_left_out_aloud(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """What nobody knows here is named on stderr; a pool with nothing else is refused."""
    pool = yaml.safe_load(EXAMPLE.read_text())
    policies = yaml.safe_load(METRIC_EXAMPLE.read_text())["spec"]["scaling"]["policies"]
    by_metric = next(one for one in policies if one["type"] == "Prometheus")
    path = tmp_path / "pool.yaml"
    pool["spec"]["scaling"]["policies"] = [{"type": "Tasks"}, by_metric]
    path.write_text(yaml.safe_dump(pool))
    assert main(["simulate", "-f", str(path), "--hours", "0.01"]) == 0
    said = capsys.readouterr().err
    assert "spec.scaling.policies[1] (Prometheus) is left out: its metric is not known here" in said
    pool["spec"]["scaling"]["policies"] = [by_metric]
    path.write_text(yaml.safe_dump(pool))
    assert main(["simulate", "-f", str(path)]) == 2
    assert "nothing decides" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (
            {"apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": {}},
            "must be an agentcorps.dev",
        ),
        ({"apiVersion": "v1", "kind": "ResourceQuota"}, "metadata must be an object"),
        (
            {"apiVersion": "v2", "kind": "ResourceQuota", "metadata": {}},
            "must be a v1 ResourceQuota",
        ),
        (
            {
                "apiVersion": "v1",
                "kind": "ResourceQuota",
                "metadata": {},
                "spec": {"hard": {"cpu": "x"}},
            },
            "spec.hard must be a quantity",
        ),
        ({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {}}, "there is no AgentPool"),
    ],
)
def test_manifests_that_cannot_be_used_are_refused(
    document: dict[str, Any], problem: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """What is neither a usable pool nor a quota ends with 2, and names the field."""
    path = tmp_path / "other.yaml"
    path.write_text(yaml.safe_dump(document))
    assert main(["simulate", "-f", str(path)]) == 2
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda found: found[0][-12:])
def test_the_guide_tells_the_truth(
    transcript: tuple[str, str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the guide shows of a command is what the command prints."""
    monkeypatch.chdir(ROOT)
    command, shown = transcript
    assert main(shlex.split(command)) == 0
    assert capsys.readouterr().out == shown


def test_the_guide_shows_something() -> None:
    """There are transcripts to be held against the command."""
    assert len(TRANSCRIPTS) >= 2


def test_blocks_show_the_highest_of_each_stretch() -> None:
    """Nothing is a blank, the highest a full block, and a long course is shortened."""
    assert blocks([0, 1, 8]) == " ▁█"
    assert blocks([0, 0]) == "  "
    assert blocks([*([0] * 60), *([5] * 60)], width=2) == " █"


def test_a_quantile_is_one_of_the_values() -> None:
    """It is the least value that the share of all does not exceed."""
    assert [quantile([1, 2, 3, 4], share) for share in (0, 0.5, 0.51, 1)] == [1, 2, 3, 4]
    assert quantile([], 0.5) == 0
