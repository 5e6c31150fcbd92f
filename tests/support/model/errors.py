"""An error in the operator's log fails a test of the model, wherever it was logged."""

from collections.abc import Iterator, MutableMapping
from logging import ERROR
from typing import Any, NoReturn

import pytest
import structlog


def _fail(_: object, __: str, event: MutableMapping[str, Any]) -> NoReturn:
    raise AssertionError(event)


@pytest.fixture
def errors_fail() -> Iterator[None]:
    """Turn logged errors into failures; the rest of the log is not of interest."""
    structlog.configure(
        processors=[_fail], wrapper_class=structlog.make_filtering_bound_logger(ERROR)
    )
    yield
    structlog.reset_defaults()
