"""What a converge leaves behind. (The numbers in the files' names are the order in which they run.)"""

import json
import subprocess

from tests.helpers.lab import Lab, record


def test_the_user_has_the_environment_in_a_new_shell(lab: Lab) -> None:
    done = subprocess.run(
        ["bash", "-ic", 'command -v python; echo "$KERAS_BACKEND/$ENABLE_PJRT_COMPATIBILITY"; alias ll'],
        env=lab.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [str(lab.python), "tensorflow/1", "alias ll='ls -l'"]


def test_the_shell_file_kept_its_permissions_and_lines(lab: Lab) -> None:
    shell_file = lab.home / ".bashrc"
    assert shell_file.stat().st_mode & 0o777 == 0o600
    assert shell_file.read_text(encoding="utf-8").startswith("alias ll='ls -l'\n# >>> metal-lab ml-m1 >>>\n")


def test_the_record_names_what_was_made(lab: Lab) -> None:
    assert record(lab) == {
        "schema": 1,
        "profile": "ml-m1",
        "provider": "uv",
        "prefix": str(lab.prefix),
        "frameworks": ["tensorflow", "pytorch", "jax", "mlx"],
        "shell": str(lab.home / ".bashrc"),
        "shell_created": False,
    }


def test_no_declared_requirement_is_broken(lab: Lab) -> None:
    uv = next((lab.home / ".local" / "share" / "metal-lab" / "uv").glob("*/bin/uv"))
    done = subprocess.run(
        [uv, "pip", "check", "--python", lab.python], env=lab.environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_second_run_in_check_mode_reports_nothing(lab: Lab) -> None:
    before = lab.files()
    run = lab.converge("--check", "--diff")
    assert run.code == 0, run.output
    assert run.changed == 0
    assert "+++" not in run.output
    assert lab.files() == before


def test_every_installed_package_is_in_the_lock(lab: Lab) -> None:
    uv = next((lab.home / ".local" / "share" / "metal-lab" / "uv").glob("*/bin/uv"))
    listed = subprocess.run(
        [uv, "pip", "list", "--format", "json", "--python", lab.python],
        env=lab.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    lock = (lab.tree / "profiles" / "ml-m1" / "linux-x86_64.lock").read_text(encoding="utf-8")
    pins = {line.split(" ")[0] for line in lock.splitlines() if "==" in line and not line.startswith(("#", " "))}
    pins = {pin.replace("mlx[cpu]", "mlx") for pin in pins}
    assert {f"{one['name']}=={one['version']}" for one in json.loads(listed.stdout)} == pins
