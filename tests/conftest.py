"""What every test folder shares: markers by folder and the hypothesis profiles."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# What the helpers assert is shown with its values, as in the tests themselves.
pytest.register_assert_rewrite("support")

TESTS = Path(__file__).parent
CLUSTER_TIMEOUT_SECONDS = 900

# A shared two-core machine says nothing about a single example's time, so no deadline.
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("local", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by the folder it lies in; tests on a cluster get a longer hang guard."""
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        if folder in {"unit", "integration", "faults", "e2e"}:
            item.add_marker(getattr(pytest.mark, folder))
        if folder in {"integration", "faults", "e2e"} and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(CLUSTER_TIMEOUT_SECONDS))
