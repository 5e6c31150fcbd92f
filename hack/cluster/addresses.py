"""Which addresses a cluster with a node uses: private ones, reached from this machine only."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cluster.errors import ClusterError

_PLANS = 16
_PREFIX = "agentcorps"
_INTERFACES = Path("/sys/class/net")


@dataclass(frozen=True)
class AddressPlan:
    """The addresses of one cluster; plans of different index do not overlap.

    Attributes:
        index: 0 to 15.
    """

    index: int

    @property
    def interface(self) -> str:
        """Name of this machine's end of the link to the node.

        Only one cluster of this machine has it, so its cgroup and its rules are called the same.
        """
        return f"{_PREFIX}{self.index}"

    @property
    def host(self) -> str:
        """This machine's address on the link."""
        return f"10.97.{self.index}.1"

    @property
    def node(self) -> str:
        """The node's address: API server, kubelet, DNS and node ports are there."""
        return f"10.97.{self.index}.2"

    @property
    def link(self) -> str:
        """The link's own range, CIDR."""
        return f"10.97.{self.index}.0/30"

    @property
    def pods(self) -> str:
        """The range of pod addresses, CIDR."""
        return f"10.244.{self.index}.0/24"

    @property
    def services(self) -> str:
        """The range of Service addresses, CIDR."""
        return f"10.96.{self.index * 16}.0/20"


def in_use() -> list[int]:
    """Return the indices that running clusters of this machine use, whoever started them."""
    names = (path.name.removeprefix(_PREFIX) for path in _INTERFACES.glob(f"{_PREFIX}*"))
    return [int(rest) for rest in names if rest.isdigit()]


def free_index(used: Iterable[int]) -> int:
    """Return the lowest index that no other cluster uses.

    Raises:
        ClusterError: all are in use.
    """
    taken = set(used)
    for index in range(_PLANS):
        if index not in taken:
            return index
    raise ClusterError(f"{_PLANS} clusters with a node are running; end one with 'down --name'")
