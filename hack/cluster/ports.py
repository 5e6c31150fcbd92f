"""Ports of the loopback address for servers that may have to start again on them."""

import random
import socket
from contextlib import ExitStack

_FROM, _TO = 10000, 30000
_TRIES = 1000


def free_ports(count: int) -> list[int]:
    """Return ports of loopback, no two the same, that nothing listens on now.

    From below those that Linux gives to outgoing connections (32768 by default) and Kubernetes to
    Services (30000): one of these would have the port while its server is away for a moment.

    Raises:
        OSError: There are not so many.
    """
    found: list[int] = []
    with ExitStack() as held:
        for port in random.SystemRandom().sample(range(_FROM, _TO), _TRIES):
            if len(found) == count:
                return found
            probe = held.enter_context(socket.socket())
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
    raise OSError(f"no {count} free ports of 127.0.0.1 between {_FROM} and {_TO}: end some servers")


def free_port() -> int:
    """Return one such port."""
    return free_ports(1)[0]
