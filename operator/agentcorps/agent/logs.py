"""One JSON object per line on stdout: what happened to which attempt, never what was in it."""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentcorps.agent.context import TaskInfo

logger = logging.getLogger("agentcorps.agent")
FIELDS = "agentcorps_fields"


class JsonFormatter(logging.Formatter):
    """Formats records of this package."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record as one line of JSON."""
        line: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line.update(getattr(record, FIELDS, {}))
        return json.dumps(line, ensure_ascii=False, default=str)


def configure() -> None:
    """Send this package's log to stdout, once; the program's own logging stays as it is."""
    if logger.handlers:
        return
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def log(event: str, level: int = logging.INFO, **fields: object) -> None:
    """Log an event with its fields."""
    logger.log(level, event, extra={FIELDS: fields})


def log_task(event: str, info: TaskInfo, level: int = logging.INFO, **fields: object) -> None:
    """Log an event of an attempt."""
    names = {
        "task": f"{info.namespace}/{info.name}",
        "uid": info.uid,
        "attempt": info.attempt,
    }
    log(event, level, **names, **fields)


def log_error(info: TaskInfo, error: BaseException) -> None:
    """Log where a handler failed: frames and type, without the text, which may quote the input."""
    frames = [
        f"{frame.filename}:{frame.lineno} in {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
    ]
    log_task("handler raised", info, logging.ERROR, error=type(error).__name__, traceback=frames)
