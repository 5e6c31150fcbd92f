"""Connections of a thousand agents fit in."""

import resource
from collections.abc import Iterator

import pytest

from agentcorps.adapters.files import raise_open_files


@pytest.fixture
def hard() -> Iterator[int]:
    """Return the hard limit; the soft one is low during the test."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_soft_limit_of_open_files_rises_to_the_hard_one(hard: int) -> None:
    """A runtime's default of 1,024 is no limit to the fleet; once raised, it stays."""
    assert raise_open_files() == raise_open_files() == hard
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == hard
