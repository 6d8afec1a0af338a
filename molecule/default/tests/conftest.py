"""The homes in which the tests work."""

from pathlib import Path

import pytest

from tests.helpers.lab import Lab


@pytest.fixture(scope="session")
def lab() -> Lab:
    """The home that molecule converged."""
    return Lab(Path.home())


@pytest.fixture
def fresh(tmp_path: Path) -> Lab:
    """A home in which nothing has happened yet, with a space and an accent in its name."""
    home = tmp_path / "nova é"
    home.mkdir()
    return Lab(home)
