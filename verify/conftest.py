"""Makes `pytest verify --hosts=…` the health check; the hooks stand in verify/run/plugin.py."""

import pytest

from .run.plugin import (
    add_options,
    health,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_generate_tests,
    pytest_report_teststatus,
    pytest_sessionfinish,
    pytest_terminal_summary,
)

__all__ = [
    "health",
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_generate_tests",
    "pytest_report_teststatus",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the health check's options."""
    add_options(parser)
