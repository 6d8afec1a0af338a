"""Runs over the lab, and what the cache did meanwhile."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lab

ROOT = Path(__file__).resolve().parents[2]
INVENTORY = Path(os.environ.get("MOLECULE_INVENTORY_FILE", lab.FOLDER / "inventory")).parent
BUNDLE = lab.FOLDER / "bundle"
OWN_INDEX = f"https://127.0.0.9:{lab.OUTSIDE_PORT}/index/simple"
"""The bundle's index, from the world outside: real files, and faults that can be planted."""
TEN = [f"mac{number:02}" for number in range(1, 11)]
LIMIT_S = 600


@dataclass(frozen=True)
class Run:
    """A run's end: exit code, and all that it printed."""

    code: int
    output: str

    @property
    def words(self) -> str:
        """The output with every run of white space as one blank, since Ansible wraps long messages."""
        return " ".join(self.output.split())

    def counts(self) -> dict[str, dict[str, int]]:
        """The recap: by host the counts by word."""
        rows = re.findall(r"^(\S+)\s*: (ok=.*)$", self.output, re.MULTILINE)
        return {host: {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", row)} for host, row in rows}


def line(playbook: str, *arguments: str, **variables: Any) -> list[str]:
    """The command of a run over the lab."""
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(INVENTORY)]
    if (lab.FOLDER / "macs.yml").exists():
        command += ["-i", str(lab.FOLDER / "macs.yml")]
    extra = ["-e", json.dumps(variables)] if variables else []
    return [*command, str(ROOT / playbook), *arguments, *extra]


def environment(**more: str) -> dict[str, str]:
    """The environment of a run."""
    left = ("PYTEST_", "ANSIBLE_", "MOLECULE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left)}
    own = {
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": f"{lab.MACS}/cp",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_FORKS": "10",
    }
    return {**kept, **own, **more}


def play(playbook: str, *arguments: str, **variables: Any) -> Run:
    """Run a playbook to its end."""
    done = subprocess.run(
        line(playbook, *arguments, **variables),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=LIMIT_S,
    )
    return Run(done.returncode, done.stdout + done.stderr)


def converge(*macs: str, **variables: Any) -> Run:
    """Converge some Macs. Their wheels cannot be imported here, so nothing is verified."""
    return play("site.yml", "--skip-tags", "verify", "--limit", ",".join(macs), **variables)


def all_are_well(run: Run, *macs: str) -> None:
    """Every Mac is converged, and has MLX."""
    assert run.code == 0, run.output
    counts = run.counts()
    assert set(counts) == set(macs), run.output
    assert all(one["failed"] == one["unreachable"] == 0 for one in counts.values()), run.output


def answers() -> Iterator[dict[str, Any]]:
    """What the cache answered, as it noted itself."""
    for log in sorted((lab.CACHE / "logs").glob("access-*.log")):
        yield from (json.loads(one) for one in log.read_text(encoding="utf-8").splitlines())


def from_outside() -> int:
    """Bytes that the cache took from outside, headers included, as nginx counts them."""
    return sum(int(part) for one in answers() for part in re.findall(r"\d+", one["outside"]))


def cache(**variables: Any) -> None:
    """Make the cache as it should be, and start it where it does not run."""
    run = play("playbooks/cache.yml", **variables)
    assert run.code == 0, run.output


def empty_cache(**variables: Any) -> None:
    """The same with nothing in it."""
    lab.stop_cache()
    for part in ("store", "logs", "run"):
        shutil.rmtree(lab.CACHE / part, ignore_errors=True)
    cache(**variables)


def get(path: str, *options: str) -> tuple[int, bytes]:
    """Ask the cache for something: the answer's status and content."""
    line = ["curl", "-s", "-o", "-", "-w", "\n%{http_code}", *options, f"http://127.0.0.1:8423{path}"]
    content, _, status = subprocess.run(line, check=True, capture_output=True).stdout.rpartition(b"\n")
    return int(status), content


def cached(part: str) -> list[Path]:
    """The cache's files of which the address holds a part, without those that are being written or never were whole."""
    found = [path for path in (lab.CACHE / "store").glob("?/??/*") if path.is_file() and not path.suffix]
    return [
        path for path in found if f"{part}".encode() in path.read_bytes()[:4096].split(b"\nKEY: ")[-1].split(b"\n")[0]
    ]
