"""The ten simulated Macs as an administrator sees them: logging in, running over them, reading the table."""

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
FOLDER = Path("/tmp/metal-lab-fleet")  # noqa: S108 (create.yml names it)
HOSTS = FOLDER / "hosts.yml"
NAMES = [f"m{number:02d}" for number in range(1, 11)]


def login(name: str, script: str, *, root: bool = False, password: str = "") -> str:
    """Run a POSIX script on a Mac, as root with the user's password if so asked, and return what it printed."""
    known = json.loads(HOSTS.read_text(encoding="utf-8"))["all"]
    shared = known["vars"]
    if root:
        secret = shlex.quote(password or shared["ansible_become_password"])
        script = f"echo {secret} | sudo -S -p '' sh -c {shlex.quote(script)}"
    options = [*shlex.split(shared["ansible_ssh_common_args"]), "-o", "ControlPath=none", "-i", f"{FOLDER}/key"]
    address = f"{shared['ansible_user']}@{known['hosts'][name]['ansible_host']}"
    line = ["ssh", "-p", str(shared["ansible_port"]), *options, address, f"/bin/sh -c {shlex.quote(script)}"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{name}: {script}\n{done.stdout}{done.stderr}"
    return done.stdout


def command(*arguments: str, inventory: tuple[Path, ...] = (HOSTS,), playbook: str = "site.yml") -> list[str]:
    """The command of a run over them."""
    program = str(Path(sys.executable).parent / "ansible-playbook")
    sources = [part for path in inventory for part in ("-i", str(path))]
    # The Mac's wheels cannot be imported here, so nothing is verified.
    return [
        program,
        *sources,
        "--skip-tags",
        "verify",
        "-e",
        '{"frameworks":["mlx"]}',
        *arguments,
        str(ROOT / playbook),
    ]


def environment() -> dict[str, str]:
    """The environment of a run, without what molecule and pytest set in it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "ANSIBLE_"))}
    own = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_SSH_CONTROL_PATH_DIR": f"{FOLDER}/cp"}
    return {**kept, **own, "ANSIBLE_NOCOLOR": "1", "COLUMNS": "200"}


@dataclass(frozen=True)
class Run:
    """A run's end: exit code, and all that it printed."""

    code: int
    output: str

    def row(self, name: str) -> tuple[str, str]:
        """A Mac's state and note in the table at the end."""
        text = self.output[self.output.rindex("\nMACHINES ") :]
        found = re.search(rf"^{name} +(not begun|to change|\w+) *(.*(?:\n +.*)*)$", text, re.MULTILINE)
        assert found, self.output
        return found[1], " ".join(found[2].split())


def converge(
    *arguments: str, inventory: tuple[Path, ...] = (HOSTS,), home: Path | None = None, playbook: str = "site.yml"
) -> Run:
    """Run to the end; in a home directory of its own, where one is named."""
    done = subprocess.run(
        command(*arguments, inventory=inventory, playbook=playbook),
        env={**environment(), **({"HOME": str(home)} if home else {})},
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
    )
    return Run(done.returncode, done.stdout + done.stderr)
