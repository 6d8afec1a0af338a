"""The simulated Macs as a user and an administrator see them."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine import LIMIT_S

ROOT = Path(__file__).resolve().parents[3]
FOLDER = Path("/tmp/metal-lab-macs")  # noqa: S108 (molecule.yml names it)
INVENTORY = Path(os.environ["MOLECULE_INVENTORY_FILE"]).parent
PROFILE = "ml-m1"


@dataclass(frozen=True)
class Mac:
    """One simulated Mac.

    Attributes:
        name: its name in the inventory.
        address: its loopback address.
        conda: folder of its conda installation.
    """

    name: str
    address: str
    conda: str

    @property
    def prefix(self) -> str:
        """Folder of its environment."""
        return f"{self.conda}/envs/{PROFILE}"

    def run(self, script: str, *, check: bool = True, root: bool = False) -> str:
        """Run a POSIX script over SSH and return what it printed."""
        known = f"UserKnownHostsFile={FOLDER}/known_hosts"
        line = ["ssh", "-F", "none", "-p", "2222", "-i", f"{FOLDER}/key", "-o", known, "-o", "IdentitiesOnly=yes"]
        if root:
            script = f"echo 'sudo needs this' | sudo -S -p '' sh -c {_quote(script)}"
        done = subprocess.run(
            [*line, f"ana@{self.address}", f"/bin/sh -c {_quote(script)}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_S,
        )
        assert not check or done.returncode == 0, f"{self.name}: {script}\n{done.stdout}{done.stderr}"
        return done.stdout

    def login(self, script: str) -> list[str]:
        """Run a line in a new login shell, as Terminal opens one, and return what it printed."""
        return self.run(f"zsh -l -i -c {_quote(script)}").splitlines()

    def calls(self) -> list[str]:
        """Processes of brew, conda and softwareupdate since the last look."""
        lines = self.run("cat /opt/.sim/calls").splitlines()
        self.run(": >/opt/.sim/calls")
        return lines

    def version(self, package: str) -> str:
        """Version of an installed Python package, read from its metadata."""
        pattern = package.replace("-", "[-_]")
        found = self.run(f"cd {self.prefix}/lib/python3.11/site-packages && ls -d {pattern}-*.dist-info").split()
        versions = [re.sub(r".*-(\d[^-]*)\.dist-info$", r"\1", name) for name in found]
        assert len(versions) == 1, f"{package}: {found}"
        return versions[0]

    def state(self) -> str:
        """Everything below the places that the roles write to, as a list to compare."""
        places = f"/Users/ana /opt/homebrew /Applications /Library/Developer {self.prefix}"
        return self.run(
            f"find {places} -not -path '*/.ansible*' -not -path '*/__pycache__*' -printf '%p %y %m %u:%g %s %l\\n' "
            "2>/dev/null | sort",
            check=False,
        )


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


FRESH = Mac("fresh", "127.0.0.11", "/Users/ana/miniforge3")
BY_HAND = Mac("by-hand", "127.0.0.12", "/opt/homebrew/Caskroom/miniforge/base")
DRIFTED = Mac("drifted", "127.0.0.13", "/Users/ana/miniforge3")
MACS = (FRESH, BY_HAND, DRIFTED)


@dataclass(frozen=True)
class Run:
    """What a run of the playbook said."""

    code: int
    output: str

    def recap(self, host: str) -> dict[str, int]:
        """Counts by word for one host: ok, changed, failed, unreachable ..."""
        found = re.search(rf"^{re.escape(host)}\s*: (.*)$", self.output, re.MULTILINE)
        assert found, self.output
        return {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", found[1])}


def command(*arguments: str, **variables: Any) -> list[str]:
    """The command of a run over the Macs."""
    playbook = str(Path(sys.executable).parent / "ansible-playbook")
    extra = ["-e", json.dumps(variables)] if variables else []
    return [playbook, "-i", str(INVENTORY), str(ROOT / "site.yml"), "--skip-tags", "verify", *arguments, *extra]


def environment() -> dict[str, str]:
    """The environment of a run, as molecule has it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "ANSIBLE_"))}
    own = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_SSH_CONTROL_PATH_DIR": f"{FOLDER}/cp"}
    return {**kept, **own, "ANSIBLE_NOCOLOR": "1"}


def converge(*arguments: str, **variables: Any) -> Run:
    """Run the playbook to its end."""
    done = subprocess.run(
        command(*arguments, **variables), env=environment(), capture_output=True, text=True, check=False, cwd=ROOT
    )
    return Run(done.returncode, done.stdout + done.stderr)


@dataclass(frozen=True)
class Health:
    """What `python -m verify` found on a Mac: its exit code, and (result, fault, message) by check."""

    code: int
    checks: dict[str, tuple[str, str, str]]

    @property
    def failed(self) -> dict[str, str]:
        """The faults of the checks that neither passed nor were skipped."""
        return {name: fault for name, (result, fault, _) in self.checks.items() if result in ("warn", "fail")}


def verify(mac: Mac, results: Path, profile: str = "ml-m1") -> Health:
    """Check a Mac over SSH, as far as no GPU is needed; `profile` is a name or a folder."""
    host = f"ansible://{mac.name}?ansible_inventory={INVENTORY}"
    line = [sys.executable, "-m", "verify", "--level", "setup", "--hosts", host, "--results", str(results)]
    line += ["--profile", profile]
    done = subprocess.run(line, env=environment(), capture_output=True, text=True, check=False, cwd=ROOT)
    path = results / f"{mac.name}.{Path(profile).name}.json"
    assert path.exists(), done.stdout + done.stderr
    checks = json.loads(path.read_text(encoding="utf-8"))["checks"]
    return Health(done.returncode, {one["check"]: (one["result"], one["fault"], one["message"]) for one in checks})


def server_of(name: str) -> int:
    """Process of a simulated Mac's SSH server: the first in its namespace."""
    return children(int((FOLDER / f"{name}.pid").read_text(encoding="utf-8")))[0]


def children(process: int) -> list[int]:
    """Its child processes; none where it has ended meanwhile."""
    try:
        return [int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text("utf-8").split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def descendants(process: int) -> list[int]:
    """A process's children, and theirs."""
    return [one for child in children(process) for one in (child, *descendants(child))]


def end_leftovers(name: str) -> None:
    """Kill what a run has left at work on a simulated Mac: all but its SSH server."""
    kill(descendants(server_of(name)))


def kill(processes: list[int]) -> None:
    """Kill them all, of which one may end with another."""
    for one in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


def freeze(process: int) -> list[int]:
    """Stop a process, then its children and theirs, each before it is looked at; returns those that were stopped."""
    try:
        os.kill(process, signal.SIGSTOP)
    except ProcessLookupError:
        return []
    return [process, *(one for child in children(process) for one in freeze(child))]


def thaw(processes: list[int]) -> None:
    """Let stopped processes go on."""
    for one in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGCONT)
