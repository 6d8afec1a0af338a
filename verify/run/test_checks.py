"""One test per check: the machine's set-up, and the frameworks' devices and numbers."""

import pytest

from ..checks.health import HostHealth
from .plugin import judge


def test_check(health: HostHealth, check: str, pytestconfig: pytest.Config) -> None:
    """One check of one machine."""
    judge(health, check, pytestconfig)
