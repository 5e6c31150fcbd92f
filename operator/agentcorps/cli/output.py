"""Printing: data on stdout as table, JSON, YAML or names; everything else on stderr."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import typer
import yaml

from agentcorps.api.kinds import KINDS
from agentcorps.api.meta import GROUP
from agentcorps.cli.errors import InputError, one_line
from agentcorps.cli.options import Format
from agentcorps.core.fields import parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from agentcorps.cli.model import Object

_TABLE_WIDTH: Final = 1 << 14
_SIGPIPE_EXIT: Final = 141
_PHASE_STYLES: Final = {
    "Succeeded": "green", "Idle": "green", "Busy": "cyan", "Running": "cyan", "Failed": "red",
    "TimedOut": "red", "Unhealthy": "red", "Cancelled": "yellow", "Draining": "yellow",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    header: str
    cell: Callable[[Object], object]
    wide: bool = False
    """Shown with `-o wide` only."""


def emit(text: str) -> None:
    """Write a line to stdout; a reader that is gone ends the command as SIGPIPE would."""
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError as error:
        # The interpreter flushes stdout once more at its end: let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(_SIGPIPE_EXIT) from error


def note(text: str) -> None:
    """Write a line for people to stderr."""
    sys.stderr.write(one_line(text) + "\n")
    sys.stderr.flush()


def to_json(value: Any, *, compact: bool = False) -> str:
    """Return JSON for people, or on one line."""
    if compact:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return json.dumps(value, ensure_ascii=False, indent=2)


def to_yaml(value: Any) -> str:
    """Return YAML in the order of the fields."""
    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True)).rstrip("\n")


def check_answer_style(style: Format) -> None:
    """Refuse the format that an answer does not have; ask before the answer is worked out.

    Raises:
        InputError: It is `-o name`.
    """
    if style is Format.NAME:
        raise InputError("-o name fits objects: use table, json or yaml")


def print_answer(answer: Object, style: Format, show: Callable[[], None]) -> None:
    """Print an answer that is no object of the API: as JSON or YAML, or by `show` for people."""
    if style is Format.JSON:
        emit(to_json(answer))
    elif style is Format.YAML:
        emit(to_yaml(answer))
    else:
        show()


def print_objects(
    objects: Sequence[Object],
    style: Format,
    columns: Sequence[Column],
    *,
    color: bool,
    single: bool = False,
) -> None:
    """Print objects in one of the formats; `single` prints one object, not a List of one."""
    match style:
        case Format.NAME:
            for item in objects:
                emit(full_name(item))
        case Format.JSON | Format.YAML:
            shown = [shorn(item) for item in objects]
            whole = shown[0] if single else {"apiVersion": "v1", "kind": "List", "items": shown}
            emit(to_json(whole) if style is Format.JSON else to_yaml(whole))
        case Format.TABLE | Format.WIDE:
            shown_columns = [each for each in columns if style is Format.WIDE or not each.wide]
            print_table(shown_columns, objects, color=color)


def print_table(columns: Sequence[Column], rows: Iterable[Object], *, color: bool) -> None:
    """Print a table as kubectl does: headers, aligned columns, no lines."""
    from rich.console import Console  # noqa: PLC0415 (rich is slow to load)
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column.header, no_wrap=True, overflow="ignore")
    for row in rows:
        cells = one_row(columns, row)
        table.add_row(*(Text(cell, style=_PHASE_STYLES.get(cell, "")) for cell in cells))
    # As wide as the data: cutting is the terminal's business, as with kubectl.
    colored = color and sys.stdout.isatty()
    console = Console(width=_TABLE_WIDTH, color_system="standard" if colored else None)
    with console.capture() as capture:
        console.print(table)
    emit("\n".join(line.rstrip() for line in capture.get().splitlines()))


def one_row(columns: Sequence[Column], row: Object) -> list[str]:
    """Return the cells of a row, each on one line."""
    return [one_line(str(column.cell(row))) for column in columns]


def full_name(item: Object) -> str:
    """Return `task.agentcorps.dev/name`, as kubectl names objects."""
    return f"{item['kind'].lower()}.{GROUP}/{item['metadata']['name']}"


def bare_name(argument: str) -> str:
    """Return the name in `name`, `task/name` or `task.agentcorps.dev/name`, of any kind."""
    prefix, slash, name = argument.partition("/")
    known = {
        form
        for kind in KINDS
        for word in (kind.singular, kind.plural, kind.short_name)
        for form in (word, f"{word}.{GROUP}")
    }
    return name if slash and prefix.lower() in known else argument


def shorn(item: Object) -> Object:
    """Return the object without managedFields, which are of no use to people."""
    metadata = {key: value for key, value in item["metadata"].items() if key != "managedFields"}
    return item | {"metadata": metadata}


def age(timestamp: str | None, now: datetime | None = None) -> str:
    """Return how long ago an API time was, as kubectl writes it: 45s, 12m, 3h20m, 4d.

    A time that does not exist is <unknown>: one object in a list must not hide the others.
    """
    if not timestamp:
        return ""
    moment = parse_time(timestamp)
    if moment is None:
        return "<unknown>"
    return duration(max(0, int((now or datetime.now(UTC)).timestamp() - moment)))


def duration(seconds: int) -> str:
    """Return seconds in at most two units."""
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 2:  # noqa: PLR2004 (steps of kubectl: 119s, 9m30s, 179m, 7h5m, 47h, 2d)
        return f"{seconds}s"
    if minutes < 10:  # noqa: PLR2004
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if hours < 3:  # noqa: PLR2004
        return f"{minutes}m"
    if hours < 8:  # noqa: PLR2004
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    return f"{hours}h" if days < 2 else f"{days}d"  # noqa: PLR2004
