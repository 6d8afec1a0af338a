"""A run that tells all it can (-vvv) does not tell the passwords that somebody put into its settings."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from verify import ROOT

SECRET = "s3cr3t"  # noqa: S105 - planted
ADDRESS = f"https://ana:{SECRET}@127.0.0.1:9/simple"
SETTINGS: dict[str, object] = {
    "package_index": ADDRESS,
    "target_environment": {"UV_FIND_LINKS": ADDRESS},
    "conda_env_channels": [ADDRESS],
    "homebrew_git_remote": ADDRESS,
    "homebrew_environment": {"HOMEBREW_API_DOMAIN": ADDRESS},
    "miniforge_mirror": ADDRESS,
}
PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.import_role:
        name: metal_lab.macs.preflight
"""


@pytest.mark.parametrize("name", ["package_index", "conda_env_channels", "all"])
def test_a_planted_password_is_refused_and_nowhere(tmp_path: Path, name: str) -> None:
    given = SETTINGS if name == "all" else {name: SETTINGS[name]}
    (tmp_path / "given.json").write_text(json.dumps(given), encoding="utf-8")
    (tmp_path / "play.yml").write_text(PLAYBOOK, encoding="utf-8")
    configuration = f"[defaults]\ncollections_path = {ROOT}/.collections\nhome = {tmp_path}/ansible\n"
    (tmp_path / "ansible.cfg").write_text(configuration, encoding="utf-8")
    playbook = Path(sys.executable).parent / "ansible-playbook"
    done = subprocess.run(
        [playbook, "-vvv", "-i", "localhost,", "-c", "local", "-e", f"@{tmp_path}/given.json", tmp_path / "play.yml"],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C.UTF-8",
             "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg")},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2
    assert "has an address with a password in it" in done.stdout
    assert SECRET not in done.stdout + done.stderr
    left = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "given.json"]
    assert [path for path in left if SECRET in path.read_text(encoding="utf-8", errors="replace")] == []
