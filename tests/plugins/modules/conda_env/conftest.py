"""A conda installation (the stand-in) in a home of its own, and the module run on it."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.metal_lab.macs.plugins.modules import conda_env, environment_absent
from ansible_collections.metal_lab.macs.verify import ROOT
from pack_installer import pack

from tests.helpers.plugins import run_module

MODULE = "ansible_collections.metal_lab.macs.plugins.modules.conda_env"


@dataclass
class Lab:
    """A home with conda in it.

    Attributes:
        home: the user's home.
        room: where the stand-ins note their calls and find their Python.
    """

    home: Path
    room: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        return self.home / "miniforge3"

    @property
    def prefix(self) -> Path:
        return self.root / "envs" / "ml-m1"

    @property
    def calls(self) -> list[str]:
        """conda processes since the last look."""
        place = self.room / "calls"
        lines = place.read_text().splitlines() if place.exists() else []
        place.write_text("")
        return lines

    def run(self, *, check: bool = False, **options: Any) -> dict[str, Any]:
        """Run the module as Ansible would; an option that is None is left out."""
        base = {"conda_root": str(self.root), "prefix": str(self.prefix), "profile": "ml-m1", "python": "3.11"}
        given = {**base, "packages": ["pip"], **options}
        return run_module(conda_env.main, {key: one for key, one in given.items() if one is not None}, check=check)

    def remove(self, *, check: bool = False) -> dict[str, Any]:
        """Take the environment away, as uninstalling does."""
        return run_module(environment_absent.main, {"profile": "ml-m1"}, check=check)

    def installed(self) -> dict[str, str]:
        """Versions by name, read from conda-meta."""
        found = [json.loads(path.read_text()) for path in (self.prefix / "conda-meta").glob("*.json")]
        return {one["name"]: one["version"] for one in found}

    def conda(self, command: str, *specs: str) -> None:
        """Run `conda create` or `conda install` by hand, as a user would."""
        line = [str(self.root / "bin" / "conda"), command, "--prefix", str(self.prefix), "--yes", "--json", "--quiet"]
        line += ["--override-channels", "-c", "conda-forge", *specs]
        subprocess.run(line, env=self.environment, check=True, capture_output=True)

    def conda_says(self, out: str = "", err: str = "", code: int = 0, *, left: str = "") -> None:
        """From now on conda does nothing else than to say this; `left` is Python that decides what it leaves."""
        say = f"import sys\n{left}\nsys.stdout.write({out!r})\nsys.stderr.write({err!r})\nsys.exit({code})\n"
        (self.root / "bin" / "conda").write_text(f"#!{self.root}/bin/python\n{say}")

    def environment_tree(self) -> dict[str, str]:
        """Every file of the environment but our own, with its content."""
        ours = str(self.prefix / "etc" / "metal-lab")
        kept = self.tree().items()
        return {path: text for path, text in kept if path.startswith(str(self.prefix)) and not path.startswith(ours)}

    def tree(self) -> dict[str, str]:
        """Every file below the home with its content, to see that nothing changed."""
        files = [path for path in self.home.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        return {str(path): path.read_bytes().hex() for path in files}


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    home, room = tmp_path / "home", tmp_path / "room"
    home.mkdir()
    room.mkdir()
    (room / "python3.11").symlink_to(sys.executable)
    path = f"{ROOT / '.collections'}:{':'.join(sys.path)}"
    environment = {
        **os.environ, "HOME": str(home), "STANDIN_ROOM": str(room), "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"
    }  # fmt: skip
    environment.pop("XDG_DATA_HOME", None)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    for name in ("HOME", "STANDIN_ROOM", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE"):
        monkeypatch.setenv(name, environment[name])
    installer = tmp_path / "installer.sh"
    pack(installer)
    subprocess.run(
        ["bash", str(installer), "-b", "-p", str(home / "miniforge3")], env=environment, check=True, capture_output=True
    )
    made = Lab(home, room, environment)
    assert made.calls
    return made
