"""What the command line may end with: exit codes, and errors that say what to do next."""

from __future__ import annotations

import re
from enum import IntEnum
from typing import ClassVar, Final

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class ExitCode(IntEnum):
    """Exit codes of every command."""

    OK = 0
    TASK_FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    TIMEOUT = 4
    CANCELLED = 5
    API = 6


def one_line(text: str) -> str:
    """Return `text` on one line without control characters: a terminal must not obey a message."""
    return " ".join(_CONTROL.sub(" ", text).split())


class CliError(Exception):
    """An error that ends the command with one line on stderr."""

    code: ClassVar[ExitCode]


class InputError(CliError):
    """What the user gave (arguments, files, login, cluster) cannot be used."""

    code = ExitCode.USAGE


class AlreadyExistsError(InputError):
    """The name is taken."""


class NotFoundError(CliError):
    """A named object does not exist."""

    code = ExitCode.NOT_FOUND


class WaitTimeoutError(CliError):
    """What was waited for did not happen in time."""

    code = ExitCode.TIMEOUT


class TaskFailedError(CliError):
    """A Task ended as Failed or TimedOut."""

    code = ExitCode.TASK_FAILED


class TaskCancelledError(CliError):
    """A Task was cancelled."""

    code = ExitCode.CANCELLED


class ApiError(CliError):
    """The API server refused the request, or answered with an error."""

    code = ExitCode.API


class UnreachableError(ApiError):
    """The API server gave no usable answer; the same request may work later."""
