"""Four faults planted into real frameworks: four different findings, and the run goes on with the others."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.lab import Lab
from tests.verify import faults


@pytest.fixture
def broken(lab: Lab) -> Iterator[Lab]:
    """The converged environment, in which every framework has a fault of its own."""
    faults.plant(lab.prefix, {"tensorflow": "hang", "pytorch": "crash", "jax": "other-device", "mlx": "wrong-value"})
    yield lab
    faults.remove(lab.prefix)


def test_four_planted_faults_are_four_different_findings(broken: Lab, tmp_path: Path) -> None:
    # Importing TensorFlow for the first time can take half of this on a busy machine.
    run = broken.verify("--timeout", "60", "--results", str(tmp_path))
    assert run.code == 1, run.output
    checks = json.loads((tmp_path / "localhost.ml-m1.json").read_text(encoding="utf-8"))["checks"]
    found = {one["check"]: (one["result"], one["fault"]) for one in checks if one["result"] in ("fail", "warn")}
    # What else this machine does meanwhile is its own business.
    found.pop("machine.state", None)
    assert found == {
        "tensorflow.value": ("fail", "hang"),
        "pytorch.value": ("fail", "crash"),
        # JAX is optional in the profile: said, and not held against the machine.
        "jax.placement": ("warn", "other-device"),
        "mlx.value": ("fail", "wrong-value"),
    }
    assert "SIGSEGV" in run.output
    assert all(one["advice"] for one in checks if one["result"] in ("fail", "warn"))


def test_a_fault_of_the_optional_framework_alone_leaves_the_machine_healthy(lab: Lab, tmp_path: Path) -> None:
    faults.plant(lab.prefix, {"jax": "crash"})
    try:
        run = lab.verify("--frameworks", "jax,mlx", "--results", str(tmp_path))
    finally:
        faults.remove(lab.prefix)
    assert run.code == 0, run.output
    assert "jax.value" in run.output
    assert json.loads((tmp_path / "localhost.ml-m1.json").read_text(encoding="utf-8"))["verdict"] == "healthy"


def test_three_ways_to_ask_give_the_same_answer(lab: Lab, tmp_path: Path) -> None:
    """python -m verify, pytest verify --hosts=…, and playbooks/verify.yml, which ends site.yml too."""

    def answers(path: Path) -> list[tuple[str, str]]:
        checks = json.loads(path.read_text(encoding="utf-8"))["checks"]
        # What else this machine does changes from one run to the next.
        return [(one["check"], one["result"]) for one in checks if one["check"] != "machine.state"]

    faults.plant(lab.prefix, {"mlx": "wrong-value"})
    try:
        by_command = lab.verify("--results", str(tmp_path / "command"))
        by_pytest = subprocess.run(
            [sys.executable, "-m", "pytest", "verify", "--hosts=local://", f"--results={tmp_path / 'pytest'}"],
            cwd=lab.tree,
            env=lab.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        by_playbook = lab.play("verify.yml")
    finally:
        faults.remove(lab.prefix)
    assert (by_command.code, by_pytest.returncode) == (1, 1)
    assert by_playbook.code != 0
    assert "The machine is unhealthy: the lines above say why, and what to do. mlx.value: " in by_playbook.words
    asked = answers(tmp_path / "command" / "localhost.ml-m1.json")
    assert ("mlx.value", "fail") in asked
    assert answers(tmp_path / "pytest" / "localhost.ml-m1.json") == asked
    assert answers(lab.tree / "results" / "localhost.ml-m1.json") == asked
