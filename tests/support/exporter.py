"""A real exporter, as a process: serves what it reads, one ``QUEUE VALUE`` on each line.

The value ``gone`` takes a series away. It ends with its input.
"""

import sys
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Gauge, start_http_server

METRIC = "documents_waiting"


def main(port: int, lines: Iterable[str]) -> None:
    """Serve until there are no more lines."""
    registry = CollectorRegistry()
    waiting = Gauge(METRIC, "Documents that wait.", ["queue"], registry=registry)
    start_http_server(port, "127.0.0.1", registry=registry)
    for line in lines:
        queue, value = line.split()
        if value == "gone":
            waiting.remove(queue)
        else:
            waiting.labels(queue).set(float(value))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.stdin)
