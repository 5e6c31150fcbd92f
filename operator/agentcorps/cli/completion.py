"""Completion of `kubectl agentcorps`: kubectl asks the program `kubectl_complete-agentcorps`."""

import os
import sys
from contextlib import suppress

from agentcorps.cli.main import main
from agentcorps.cli.output import emit

NO_FILES = ":4"
"""The last line of the answer, by kubectl's protocol: do not complete file names instead."""


def run() -> None:
    """Print what may stand in place of the last argument, one per line."""
    words = ["agentcorps", *sys.argv[1:]]
    # typer takes its request from these variables, as the scripts of the shells set them.
    os.environ |= {
        "_AGENTCORPS_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    with suppress(SystemExit):
        main([])
    emit(NO_FILES)
