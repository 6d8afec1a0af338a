from collections.abc import Callable
from pathlib import Path

import pytest

from verify.linkcheck.command import check_folder
from verify.linkcheck.packages import Target
from verify.linkcheck.report import Report

from .machos import Toolchain

TARGET = Target("3.11", (14, 4, 0), pjrt_compatibility=True)


@pytest.fixture(scope="session")
def toolchain(tmp_path_factory: pytest.TempPathFactory) -> Toolchain:
    return Toolchain(tmp_path_factory.mktemp("toolchain"))


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    return folder


@pytest.fixture
def check(site: Path) -> Callable[[], Report]:
    """Checks the folder `site`."""
    return lambda: check_folder(lambda _: None, site, TARGET, "test")
