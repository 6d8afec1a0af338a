"""A role works alone in somebody else's playbook, on an environment that somebody else made."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.helpers.lab import ROOT, Lab


def play(lab: Lab, folder: Path, role: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Run one of our roles in a playbook of theirs, with nothing of our configuration but where the collection is."""
    playbook = folder / "theirs.yml"
    settings = folder / "ansible.cfg"
    settings.write_text("[defaults]\n", encoding="utf-8")
    hosts = {"hosts": "localhost", "connection": "local", "gather_facts": False}
    playbook.write_text(
        yaml.safe_dump([{**hosts, "vars": {"ansible_python_interpreter": sys.executable}, "roles": [role]}]),
        encoding="utf-8",
    )
    return subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", playbook],
        env=lab.environment(ANSIBLE_CONFIG=str(settings), ANSIBLE_COLLECTIONS_PATH=str(ROOT / ".collections")),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_role_mlx_alone(fresh: Lab, tmp_path: Path) -> None:
    env = tmp_path / "their own env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", env], check=True)
    role = {"role": "metal_lab.macs.mlx", "mlx_env": {"prefix": str(env)}}
    first = play(fresh, tmp_path, role)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "changed=1" in first.stdout
    subprocess.run([env / "bin" / "python", "-c", "import mlx.core as mx; assert mx.add(1, 2).item() == 3"], check=True)
    assert "changed=0" in play(fresh, tmp_path, role).stdout


def test_a_role_without_an_environment_says_what_it_needs(fresh: Lab, tmp_path: Path) -> None:
    done = play(fresh, tmp_path, {"role": "metal_lab.macs.mlx"})
    assert done.returncode != 0
    assert "Run the role uv_env or conda_env before this one" in " ".join(done.stdout.split())
