"""Four faults planted into real frameworks: four different findings, and the run goes on with the others."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import Lab

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
    checks = json.loads((tmp_path / "localhost.json").read_text(encoding="utf-8"))["checks"]
    found = {one["check"]: (one["result"], one["fault"]) for one in checks if one["result"] in ("fail", "warn")}
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
    assert json.loads((tmp_path / "localhost.json").read_text(encoding="utf-8"))["verdict"] == "healthy"


def test_three_ways_to_ask_give_the_same_answer(lab: Lab, tmp_path: Path) -> None:
    """python -m verify, playbooks/verify.yml, and the site's last play which imports it."""

    def answers(path: Path) -> list[tuple[str, str]]:
        return [(one["check"], one["result"]) for one in json.loads(path.read_text(encoding="utf-8"))["checks"]]

    assert lab.verify("--results", str(tmp_path)).code == 0
    asked = answers(tmp_path / "localhost.json")
    played = lab.play("verify.yml")
    assert played.code == 0, played.output
    assert answers(lab.tree / "results" / "localhost.json") == asked
    faults.plant(lab.prefix, {"mlx": "wrong-value"})
    try:
        played = lab.play("verify.yml")
        assert played.code != 0
        assert "A machine is unhealthy" in " ".join(played.output.split())
    finally:
        faults.remove(lab.prefix)
