"""What the parts of the simulation have in common: a simulated Mac, its network, and commands that must succeed."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

PORT = 2222
USER, UID, STAFF, WHEEL, ADMIN = "ana", 501, 20, 0, 80
PASSWORD = "sudo needs this"  # noqa: S105 (of users that exist in the simulation only)

PACKAGES = Path(__file__).resolve().parents[2] / ".ci" / "debian-packages"
LIMIT_S = 300
"""What a command of the simulation may take."""


class SimulationError(Exception):
    """The simulation cannot be had here; the message says what is missing."""


@dataclass(frozen=True)
class Mac:
    """A simulated Mac.

    Attributes:
        name: its name, and the first part of its host name.
        address: where its SSH server listens.
        past: the script in pasts/ that gives it a past, without ".sh", or "".
    """

    name: str
    address: str
    past: str


def settle() -> None:
    """Neither who runs the simulation nor how decides who may read a Mac's files, or which tools are found."""
    os.umask(0o022)
    if "/usr/sbin" not in os.environ["PATH"].split(":"):
        os.environ["PATH"] += ":/usr/sbin:/sbin"


def missing_packages(part: str) -> list[str]:
    """Debian's packages that a part of run-tests needs, and that this machine has not."""
    lines = (line.split() for line in PACKAGES.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    return sorted(
        package
        for sign, package, *parts in lines
        if {"any", part} & set(parts) and shutil.which(sign) is None and not Path("/", sign).exists()
    )


def run(*command: str | Path, text: str | None = None) -> str:
    """Run a command and return what it printed.

    Raises:
        SimulationError: it ended with another exit code than 0; the message shows what it printed.
    """
    line = [str(part) for part in command]
    done = subprocess.run(line, input=text, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    if done.returncode != 0:
        raise SimulationError(f"{' '.join(line)} ended with exit code {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout
