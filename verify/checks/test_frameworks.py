"""The frameworks: each imports, shows its device, and computes the right numbers on it."""

import pytest

from verify.health import HostHealth
from verify.pytest_plugin import judge


def test_framework(health: HostHealth, framework_check: str, pytestconfig: pytest.Config) -> None:
    """One check of one framework."""
    judge(health, framework_check, pytestconfig)
