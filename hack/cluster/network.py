"""The node's own network namespace, and its link to this machine.

Everything that Kubernetes changes in a network, from Service rules to pod interfaces, happens in
that namespace and ends with it. Nothing outside this machine reaches it.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from cluster.addresses import AddressPlan, in_use
from cluster.errors import ClusterError
from cluster.layout import Layout

_IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
# Of the whole machine, and of this boot only, as the setting itself.
_SAVED_FORWARD = Path("/run/agentcorps-ip_forward")


def create(layout: Layout, plan: AddressPlan) -> None:
    """Make the namespace, the link, the routes and the rules.

    Raises:
        ClusterError: a command failed.
    """
    layout.netns.touch()
    run("unshare", f"--net={layout.netns}", "true")
    _link(layout, plan)
    _forward(layout)
    run("nft", "-f", "-", stdin=_host_rules(plan))
    run(*_inside(layout), "nft", "-f", "-", stdin=_node_rules(plan))


def remove(plan: AddressPlan) -> None:
    """Undo what :func:`create` did outside the namespace; it ends with its last process.

    Args:
        plan: the cluster's addresses.
    """
    for argv in (
        ("ip", "link", "delete", plan.interface),
        ("nft", "delete", "table", "ip", plan.interface),
    ):
        # Either may be gone, or never have been there.
        subprocess.run(argv, capture_output=True, check=False)
    if not in_use() and _SAVED_FORWARD.exists():
        _IP_FORWARD.write_text(_SAVED_FORWARD.read_text())
        _SAVED_FORWARD.unlink()


def run(*argv: str, stdin: str | None = None) -> str:
    """Run a short command and return what it printed.

    Raises:
        ClusterError: it is missing or failed.
    """
    try:
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise ClusterError(f"needs the program {argv[0]}, which is not installed") from error
    if done.returncode:
        raise ClusterError(f"{' '.join(argv)} failed: {done.stderr.strip()[-400:]}")
    return done.stdout


def _inside(layout: Layout) -> Sequence[str]:
    return ("nsenter", f"--net={layout.netns}")


def _link(layout: Layout, plan: AddressPlan) -> None:
    peer = ("peer", "name", "eth0", "netns", str(layout.netns))
    run("ip", "link", "add", plan.interface, "type", "veth", *peer)
    run("ip", "address", "add", f"{plan.host}/30", "dev", plan.interface)
    run("ip", "link", "set", plan.interface, "up")
    inside = _inside(layout)
    run(*inside, "ip", "link", "set", "lo", "up")
    run(*inside, "ip", "address", "add", f"{plan.node}/30", "dev", "eth0")
    run(*inside, "ip", "link", "set", "eth0", "up")
    run(*inside, "ip", "route", "add", "default", "via", plan.host)
    # As on a node, pods and Services can be reached from this machine itself.
    for reachable in (plan.pods, plan.services):
        run("ip", "route", "replace", reachable, "via", plan.node)


def _forward(layout: Layout) -> None:
    run(*_inside(layout), "sh", "-c", f"echo 1 > {_IP_FORWARD}")
    before = _IP_FORWARD.read_text()
    if not _SAVED_FORWARD.exists():
        _SAVED_FORWARD.write_text(before)
    if before.strip() != "1":
        _IP_FORWARD.write_text("1\n")


def _host_rules(plan: AddressPlan) -> str:
    """Pods may open connections to the outside; nothing outside may open one to the node."""
    return f"""
table ip {plan.interface} {{
  chain inbound {{
    type filter hook forward priority filter; policy accept;
    oifname "{plan.interface}" ct state established,related accept
    oifname "{plan.interface}" drop
  }}
  chain outbound {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {plan.node} oifname != "{plan.interface}" masquerade
  }}
}}
"""


def _node_rules(plan: AddressPlan) -> str:
    """To everything but pods, a pod appears under the address of its node."""
    return f"""
table ip pods {{
  chain outbound {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {plan.pods} oifname "eth0" masquerade
  }}
}}
"""
