"""Is what ./converge made still there? Every file that the packages recorded, and no other answer than `whole`."""

import base64
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from verify import ROOT

SCRIPT = ROOT / "verify" / "toolchain.py"
PROGRAM = b"#!/bin/sh\nexit 0\n"


def site(prefix: Path) -> Path:
    return prefix / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"


def install(prefix: Path, name: str) -> None:
    """A package with a module and a program, and the record of both."""
    files = {
        f"{name}/__init__.py": b"answer = 42\n",
        f"../../../bin/{name}": PROGRAM,
        f"{name}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
    }
    record = ""
    for path, content in files.items():
        place = site(prefix) / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
        record += f"{path},sha256={digest},{len(content)}\n"
    (site(prefix) / f"{name}-1.0.dist-info" / "RECORD").write_text(f"{record}{name}-1.0.dist-info/RECORD,,\n")


def ask(action: str, prefix: Path) -> str:
    """What ./converge is told; it has the lock open as its file 9."""
    line = f'exec 9<>"$1"; shift; exec "{sys.executable}" -I -S "$@"'
    done = subprocess.run(
        ["/bin/sh", "-c", line, "sh", prefix / "lock", SCRIPT, action, prefix],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    for name in ("ansible", "jinja"):
        install(tmp_path, name)
    assert ask("note", tmp_path) == "whole\n"
    return tmp_path


def emptied(prefix: Path) -> str:
    (prefix / "bin" / "ansible").write_bytes(b"")
    return "bin/ansible has 0 bytes instead of 17"


def deleted(prefix: Path) -> str:
    (site(prefix) / "jinja" / "__init__.py").unlink()
    return "jinja/__init__.py is missing"


def without_its_record(prefix: Path) -> str:
    (site(prefix) / "jinja-1.0.dist-info" / "RECORD").write_text("")
    return "RECORD is empty"


def a_package_gone(prefix: Path) -> str:
    (site(prefix) / "jinja-1.0.dist-info").rename(prefix / "aside")
    return "jinja-1.0.dist-info is missing"


def a_pipe(prefix: Path) -> str:
    (prefix / "bin" / "ansible").unlink()
    os.mkfifo(prefix / "bin" / "ansible")
    return "is not a regular file"


def a_link_out(prefix: Path) -> str:
    (prefix / "bin" / "ansible").unlink()
    (prefix / "bin" / "ansible").symlink_to("/bin/true")
    return "leads out of the environment"


def never_noted(prefix: Path) -> str:
    (prefix / "controller.packages").unlink()
    return "No such file"


def noted_as_nothing(prefix: Path) -> str:
    (prefix / "controller.packages").write_text("")
    return "is missing"


@pytest.mark.parametrize(
    "damage",
    [
        *(emptied, deleted, without_its_record, a_package_gone, a_pipe, a_link_out, never_noted, noted_as_nothing),
    ],
    ids=lambda damage: damage.__name__,
)
def test_each_damage_is_named(prefix: Path, damage: Callable[[Path], str]) -> None:
    assert ask("check", prefix) == "whole\n"
    assert damage(prefix) in ask("check", prefix)


def test_what_came_later_is_no_damage(prefix: Path) -> None:
    install(prefix, "pytest")
    (prefix / "bin" / "pytest").unlink()
    assert ask("check", prefix) == "whole\n"
