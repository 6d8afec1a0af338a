"""A home directory, and what a user does in it: converge, look, spoil, uninstall."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_IGNORED = shutil.ignore_patterns(".git", ".venv*", "__pycache__", ".*_cache", ".ansible", ".hypothesis")
# A run that takes longer than this hangs; a cold one takes a minute or two.
LIMIT_S = 900


@dataclass(frozen=True)
class Lab:
    """A user's home, and a tree of the project to run from.

    Attributes:
        home: the home directory.
        tree: the project's folder; a copy where a test spoils a profile or a lock.
    """

    home: Path
    tree: Path = ROOT

    @property
    def prefix(self) -> Path:
        """Folder of the environment, by default."""
        return self.home / ".local" / "share" / "metal-lab" / "envs" / "ml-m1"

    @property
    def python(self) -> Path:
        """The environment's Python."""
        return self.prefix / "bin" / "python"

    def environment(self, **more: str) -> dict[str, str]:
        """The user's environment variables: this process's own, without what molecule and pytest set in them."""
        kept = {
            name: value for name, value in os.environ.items() if not re.match(r"ANSIBLE_|MOLECULE_|PYTEST_|XDG_", name)
        }
        cache = os.environ.get("UV_CACHE_DIR", str(self.home / ".cache" / "uv"))
        own = {"HOME": str(self.home), "UV_CACHE_DIR": cache, "ANSIBLE_CONFIG": str(self.tree / "ansible.cfg")}
        return {**kept, **own, **more}

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Begin a run in a process group of its own."""
        return subprocess.Popen(
            [Path(sys.executable).parent / "ansible-playbook", self.tree / "site.yml", *arguments],
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def converge(self, *arguments: str, **environment: str) -> "Run":
        """Run site.yml to its end."""
        process = self.start(*arguments, **environment)
        output, _ = process.communicate(timeout=LIMIT_S)
        return Run(process.returncode, output)

    def play(self, playbook: str, *arguments: str) -> "Run":
        """Run another playbook to its end."""
        done = subprocess.run(
            [Path(sys.executable).parent / "ansible-playbook", self.tree / "playbooks" / playbook, *arguments],
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_S,
        )
        return Run(done.returncode, done.stdout + done.stderr)

    def verify(self, *arguments: str, **environment: str) -> "Run":
        """Run `python -m verify` to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "verify", *arguments],
            cwd=self.tree,
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_S,
        )
        return Run(done.returncode, done.stdout + done.stderr)

    def files(self) -> dict[str, str]:
        """Every file and folder of the home but the tools' caches and temporary files: path to what it is."""
        return dict(_walk(self.home, self.home))

    def copy_of_project(self, folder: Path) -> "Lab":
        """The same home with a copy of the project, to spoil."""
        tree = folder / "project"
        shutil.copytree(ROOT, tree, ignore=ignored, symlinks=True)
        return Lab(self.home, tree)


@dataclass(frozen=True)
class Run:
    """A run's end: exit code, and all that it printed."""

    code: int
    output: str

    @property
    def words(self) -> str:
        """The output with every run of white space as one blank, since Ansible wraps long messages."""
        return " ".join(self.output.split())

    @property
    def changed(self) -> int:
        """How many tasks changed something, from the recap."""
        found = re.search(r"^localhost .* changed=(\d+)", self.output, re.MULTILINE)
        assert found, self.output
        return int(found[1])


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a run and everything that it started, as a power cut would."""
    for pid in _descendants(process.pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()
    if process.stdout:
        process.stdout.close()


def ignored(folder: str, names: list[str]) -> set[str]:
    """What is no part of the project, and may come and go while it is copied."""
    # Not verify/results, which is a part of it.
    return _IGNORED(folder, names) | ({"results"} if Path(folder) == ROOT else set())


def _descendants(pid: int) -> list[int]:
    """A process and all below it, stopped first so that none is born meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    ).stdout.split()
    below = [one for child in listed for one in _descendants(int(child)) if Path(f"/proc/{child}").exists()]
    return [pid, *below]


def _walk(folder: Path, home: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.iterdir()):
        shown = str(path.relative_to(home))
        if shown in (".cache", ".ansible"):
            continue
        if path.is_symlink():
            yield shown, f"-> {path.readlink()}"
        elif path.is_dir():
            yield shown, "folder"
            yield from _walk(path, home)
        else:
            stat = path.stat()
            yield shown, f"{stat.st_mode:o} {stat.st_size} {stat.st_mtime_ns}"


def record(lab: Lab) -> dict[str, object]:
    """The record that a run left."""
    text = (lab.home / ".local" / "share" / "metal-lab" / "ml-m1.json").read_text(encoding="utf-8")
    loaded: dict[str, object] = json.loads(text)
    return loaded
