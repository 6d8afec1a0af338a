"""What the parts of the simulation have in common: a simulated Mac, its network, and commands that must succeed."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

PORT = 2222
USER, UID, STAFF, WHEEL, ADMIN = "ana", 501, 20, 0, 80
PASSWORD = "sudo needs this"  # noqa: S105 (of users that exist in the simulation only)


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


def run(*command: str | Path, text: str | None = None) -> str:
    """Run a command and return what it printed.

    Raises:
        SimulationError: it ended with another exit code than 0; the message shows what it printed.
    """
    line = [str(part) for part in command]
    done = subprocess.run(line, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SimulationError(f"{' '.join(line)} ended with exit code {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout
