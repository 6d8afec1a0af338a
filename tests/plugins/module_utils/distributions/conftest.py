"""The environments that the tests damage."""

from pathlib import Path

import pytest

from tests.plugins.module_utils.distributions.damage import DAMAGES
from tests.plugins.module_utils.distributions.environment import Environment


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the pinned uv is kept: it is large."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Environment:
    """An environment with a package for each damage; not to be touched."""
    made = Environment(tmp_path_factory.mktemp("whole"), home)
    made.make()
    for name in DAMAGES:
        made.lock(name)
    made.install()
    return made


@pytest.fixture
def environment(whole: Environment, tmp_path: Path) -> Environment:
    """The same, to damage."""
    return whole.copy(tmp_path / "é lab")


@pytest.fixture
def bare(tmp_path: Path, home: Path) -> Environment:
    """One without packages; `tiny` is locked."""
    made = Environment(tmp_path, home)
    made.make()
    made.lock("tiny")
    return made
