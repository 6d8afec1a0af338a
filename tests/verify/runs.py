"""`python -m verify` and `pytest verify` over three Macs, in this process, and what they leave behind."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.verify import macs
from tests.verify.macs import Mac
from verify import ROOT
from verify import __main__ as verify
from verify.checks.health import HostHealth
from verify.profile import model as profiles
from verify.report import page
from verify.results import files

NAMES = ("mac-1", "mac-2", "mac-3")
PROFILE, FRAMEWORKS = "current", ("mlx", "mlx_lm")
"""One of each kind."""
AT = "mac-2"
"""Where faults are planted, unless said otherwise."""


@dataclass
class Here:
    """Where the run is: raises at some hosts, or leaves what it wraps as it is."""

    host: str = ""
    at: tuple[str, ...] = (AT,)

    def planted(self, function: Callable[..., Any], error: Exception) -> Callable[..., Any]:
        def with_fault(*arguments: Any, **named: Any) -> Any:
            if self.host in self.at:
                raise error
            return function(*arguments, **named)

        return with_fault


@dataclass
class Done:
    """What a run left behind."""

    code: int
    screen: str
    results: dict[str, dict[str, Any]]
    junit: str
    page: str

    def whole(self, host: str) -> dict[str, Any]:
        """A host's result without what differs from run to run."""
        return {key: value for key, value in self.results[host].items() if key not in ("started", "seconds")}


class Lab:
    """Three Macs, and `python -m verify` over them in this process."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, read: Callable[[], str]) -> None:
        self.patch = patch
        self.here = Here()
        self._folder = folder
        self._read = read
        mac = Mac(profiles.load(PROFILE))
        self.hosts = macs.connect(patch, dict.fromkeys(NAMES, functools.partial(macs.honest, mac)))
        check = HostHealth.check

        def noting(health: HostHealth, name: str) -> Any:
            self.here.host = health.report.host
            return check(health, name)

        patch.setattr(HostHealth, "check", noting)

    def verify(self, *arguments: str, level: str = "soak", entry: str = "command") -> Done:
        """A run; entry "command" is `python -m verify`, "pytest" is `pytest verify`."""
        given = ["--hosts", self.hosts, "--results", str(self._folder), "--level", level]
        given += ["--profile", PROFILE, "--frameworks", ",".join(FRAMEWORKS)]
        self._read()
        with pytest.MonkeyPatch.context() as patch:
            # The command sets it, for its process.
            patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "")
            patch.chdir(ROOT)
            if entry == "command":
                code = verify.main([*given, *arguments])
            else:
                code = int(pytest.main(["verify", "-p", "no:cacheprovider", *given, *arguments]))
        screen = self._read()
        return self.left(code, screen)

    def left(self, code: int, screen: str) -> Done:
        """What is in the results' folder after a run."""
        results, refused = files.gather(self._folder)
        assert refused == []
        return Done(
            code,
            screen,
            {one.data["host"]: one.data for one in results},
            *(path.read_text(encoding="utf-8") if path.exists() else "" for path in self._written()),
        )

    def _written(self) -> tuple[Path, Path]:
        return self._folder / "junit.xml", self._folder / page.FILE


def said_of(host: str, screen: str) -> str:
    """The summary's line about a host's verdict."""
    return next(line for line in screen.splitlines() if line.startswith(f"{host}: ") and line.split()[1].isupper())
