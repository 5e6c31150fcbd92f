"""Pure parts of the local cluster's tool."""

import ipaddress
import socket
from contextlib import ExitStack
from itertools import combinations
from pathlib import Path

import pytest

from cluster import apt, tools
from cluster.addresses import AddressPlan, free_index
from cluster.cgroups import hierarchies
from cluster.cli import parser
from cluster.errors import ClusterError
from cluster.home import Home
from cluster.images import Request
from cluster.layout import Layout, State
from cluster.ports import free_ports
from cluster.providers import choose, exports
from cluster.teardown import mount_points


def test_key_follows_every_input() -> None:
    """The folder of built programs changes with a file's content, its name and the recipe."""
    base = tools.key([("go.mod", b"a"), ("main.go", b"b")], "recipe")
    assert base == tools.key([("main.go", b"b"), ("go.mod", b"a")], "recipe")
    others = [
        tools.key([("go.mod", b"a"), ("main.go", b"c")], "recipe"),
        tools.key([("go.mod", b"a"), ("other.go", b"b")], "recipe"),
        tools.key([("go.mod", b"a"), ("main.go", b"b")], "recipe 2"),
        tools.key([("go.mod", b"ab"), ("main.go", b"")], "recipe"),
    ]
    assert len({base, *others}) == len(others) + 1


def test_build_stamps_the_version_that_go_mod_requires() -> None:
    """The Kubernetes programs say the version of the module that they are made from."""
    required = next(
        line.split()[1]
        for line in (tools.GO_FOLDER / "go.mod").read_text().splitlines()
        if line.startswith("\tk8s.io/kubernetes v")
    )
    assert f"gitVersion={required} " in tools.recipes()["kubernetes"].ldflags


def test_address_plans_do_not_overlap() -> None:
    """No two clusters of one machine share an address."""
    plans = [AddressPlan(index) for index in range(16)]
    ranges = [
        ipaddress.ip_network(text)
        for plan in plans
        for text in (plan.link, plan.pods, plan.services)
    ]
    assert not any(one.overlaps(other) for one, other in combinations(ranges, 2))


def test_lowest_free_index_is_taken() -> None:
    """An ended cluster's addresses are used again; a seventeenth cluster is refused."""
    assert free_index([0, 2, -1]) == 1
    with pytest.raises(ClusterError, match="16 clusters"):
        free_index(range(16))


def test_mounts_are_removed_from_the_inside_out() -> None:
    """Only mounts below the folder are found, the deepest first, with spaces in their names."""
    text = "\n".join(
        f"1 2 0:1 / {point} rw - ext4 x rw"
        for point in ("/", "/c/a", "/c/a/b\\040c/d", "/cc", "/c/a/b\\040c")
    )
    found = mount_points(text, Path("/c"))
    assert found == [Path("/c/a/b c/d"), Path("/c/a/b c"), Path("/c/a")]


def test_version_1_cgroups_win_over_version_2_beside_them() -> None:
    """Where both versions are mounted, containers use the hierarchies of version 1."""
    second = "none /u cgroup2 rw 0 0\n"
    assert hierarchies(second) == [Path("/u")]
    assert hierarchies(f"cgroup /pids cgroup rw 0 0\n{second}") == [Path("/pids")]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("deb http://a.example/debian stable main contrib", ["http://a.example/debian"]),
        ("deb [signed-by=/k arch=amd64] http://a.example/d x main", ["http://a.example/d"]),
        ("# deb http://a.example/debian stable main", []),
        ("deb http://a.example/debian-security stable-security main", []),
        ("deb http://a.example/cloud cloud-sdk main", []),
        (
            """\
Types: deb
# note
URIs: http://a.example/debian
Suites: stable stable-updates
Components: main

Types: deb
URIs: http://b.example/
Suites: stable-security
Components: main
""",
            ["http://a.example/debian"],
        ),
    ],
)
def test_mirror_is_read_from_both_formats(text: str, found: list[str]) -> None:
    """Debian's main archive is found in lines and in stanzas, and nothing else is."""
    assert list(apt.uris(text)) == found


@pytest.mark.parametrize("name", ["", "a_b", "A", "-a", "a-", "a/../b", "a" * 33])
def test_cluster_name_cannot_leave_its_folder(name: str, tmp_path: Path) -> None:
    """A name that is no plain word is refused in one line."""
    with pytest.raises(ClusterError, match="--name"):
        Layout.of(Home(tmp_path), name, tmp_path)


def test_state_survives_a_write_and_rubbish_counts_as_none(tmp_path: Path) -> None:
    """What a start decided is read back; a damaged file means a start that got nowhere."""
    layout = Layout.of(Home(tmp_path), "a", tmp_path)
    assert layout.read_state() is None
    state = State("node", 3, "https://10.97.3.2:6443", ("etcd",))
    layout.write_state(state)
    assert layout.read_state() == state
    for rubbish in ("", "{", "[]", '{"mode": "node"}', '{"daemons": 1}'):
        (layout.folder / "state.json").write_text(rubbish)
        assert layout.read_state() is None


@pytest.mark.parametrize(
    "line",
    [
        [],
        ["up", "--kwok", "0"],
        ["kwok", "10001"],
        ["load"],
        ["build-image", "a:1", "--build-arg", "=x"],
        ["up", "--provider", "minikube"],
    ],
)
def test_wrong_usage_ends_with_2(line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be meant is refused by the parser, before anything is touched."""
    with pytest.raises(SystemExit) as stopped:
        parser().parse_args(line)
    assert stopped.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_build_arguments_keep_their_equals_signs() -> None:
    """Only the first equals sign separates a build argument's name from its value."""
    options = parser().parse_args(["build-image", "a:1", "--build-arg", "K=a=b"])
    assert dict(options.build_arg) == {"K": "a=b"}


def test_image_name_needs_a_tag(tmp_path: Path) -> None:
    """An image without a tag is refused, and so is a Containerfile that is not there."""
    with pytest.raises(ClusterError, match="name:tag"):
        Request("agent", tmp_path, tmp_path)
    with pytest.raises(ClusterError, match="no such Containerfile"):
        Request("agentcorps/agent:0.1.0", tmp_path / "Containerfile", tmp_path)


def test_unknown_provider_is_named_with_the_choices(tmp_path: Path) -> None:
    """A typing error in CLUSTER says what can be chosen."""
    with pytest.raises(ClusterError, match="'minikube': choose one of kind, local, existing"):
        choose(Home(tmp_path), "minikube", "a")


def test_exports_quote_and_keep_the_path() -> None:
    """Shell lines survive spaces, and put the programs before the PATH that is there."""
    lines = exports({"KUBECONFIG": "/a b/c", "PATH": "/x"})
    assert lines == "export KUBECONFIG='/a b/c'\nexport PATH=/x:\"$PATH\""


def test_ports_are_free_and_out_of_reach_of_outgoing_connections() -> None:
    """A server can listen on each of them, now and again; Linux gives none to a client."""
    first_of_clients = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports = free_ports(50)
    assert len(set(ports)) == 50
    assert first_of_clients < 32768 or max(ports) < first_of_clients
    with ExitStack() as held:
        for port in ports:
            held.enter_context(socket.create_server(("127.0.0.1", port)))
