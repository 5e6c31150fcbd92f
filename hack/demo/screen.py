"""What a person sees: headings, lines, a table; plain text where there is no terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PLAIN_WIDTH = 120
"""Columns where nobody says how many there are."""

ALIGNED = 60
"""A command longer than this stands out of line."""


class Screen:
    """Standard output of the demo."""

    def __init__(self) -> None:
        terminal = sys.stdout.isatty()
        self._console = Console(width=None if terminal else PLAIN_WIDTH, highlight=False)
        self._steps = 0

    def step(self, title: str) -> None:
        """Begin a numbered part."""
        self._steps += 1
        self._console.print(f"\n[bold]{self._steps}. {escape(title)}[/bold]")

    def say(self, text: str) -> None:
        """Print a line of the current part."""
        self._console.print(f"   {escape(text)}", soft_wrap=True)

    def commands(self, lines: Iterable[tuple[str, str]]) -> None:
        """Print commands that can be copied, each with what it does behind it."""
        pairs = list(lines)
        width = max(len(command) for command, _ in pairs if len(command) <= ALIGNED)
        for command, meaning in pairs:
            text = f"   [bold]{escape(command.ljust(width))}[/bold]  [dim]# {escape(meaning)}[/dim]"
            self._console.print(text, soft_wrap=True)

    def table(self, columns: Sequence[tuple[str, bool]], rows: Iterable[Sequence[str]]) -> None:
        """Print rows under columns of (title, whether they hold numbers), cut at the screen."""
        lines = [[title for title, _ in columns], *rows]
        widths = [max(len(line[number]) for line in lines) for number in range(len(columns))]
        for number, line in enumerate(lines):
            cells = [
                cell.rjust(width) if numeric else cell.ljust(width)
                for cell, width, (_, numeric) in zip(line, widths, columns, strict=True)
            ]
            text = _cut(f"   {'  '.join(cells)}".rstrip(), self._console.width)
            self._console.print(escape(text), style="dim" if number == 0 else "", soft_wrap=True)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."
