"""The environment: reachable, recorded, as locked, whole."""

import pytest

from verify.health import HostHealth
from verify.pytest_plugin import judge


def test_environment(health: HostHealth, environment_check: str, pytestconfig: pytest.Config) -> None:
    """One check of the environment."""
    judge(health, environment_check, pytestconfig)
