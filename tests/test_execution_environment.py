"""The execution environment is one that ansible-builder takes, and has the toolchain that is locked."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

from verify import ROOT

FILE = ROOT / "execution-environment.yml"


def test_ansible_builder_takes_it(tmp_path: Path) -> None:
    builder = Path(sys.executable).parent / "ansible-builder"
    done = subprocess.run(
        [builder, "create", "--file", FILE, "--context", tmp_path / "context", "--output-filename", "Containerfile"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    made = (tmp_path / "context" / "Containerfile").read_text(encoding="utf-8")
    assert "--require-hashes -r /opt/metal-lab/controller.lock" in made
    locked = tmp_path / "context" / "_build" / "locks" / "controller.lock"
    assert locked.read_bytes() == (ROOT / "controller.lock").read_bytes()


def dependencies() -> list[str]:
    found: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    return found


def test_what_the_collection_asks_for_is_what_the_project_asks_for() -> None:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith("#")] == dependencies()[1:]


def test_its_ansible_is_the_projects() -> None:
    pinned, *_ = dependencies()
    assert pinned.startswith("ansible-core==")
    core = yaml.safe_load(FILE.read_text(encoding="utf-8"))["dependencies"]["ansible_core"]["package_pip"]
    assert core == pinned
    assert re.search(rf"^{re.escape(pinned)} ", (ROOT / "controller.lock").read_text(encoding="utf-8"), re.MULTILINE)
