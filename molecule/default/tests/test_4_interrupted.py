"""A run that is killed leaves nothing that the next one cannot mend."""

import json
import subprocess
from collections.abc import Callable

import pytest

from tests.helpers.lab import Lab, kill
from tests.helpers.waiting import wait_until


def metadata(lab: Lab) -> int:
    """How many packages stand in the environment."""
    return len(list(lab.prefix.glob("lib/python3.11/site-packages/*.dist-info")))


def fresh_venv(lab: Lab) -> bool:
    """The environment has just been made."""
    return (lab.prefix / "bin" / "python").exists()


def in_the_base_packages(lab: Lab) -> bool:
    """uv is laying down the base packages."""
    return metadata(lab) > 0


def in_tensorflow(lab: Lab) -> bool:
    """uv is laying down TensorFlow, thousands of files."""
    return (lab.prefix / "lib/python3.11/site-packages/tensorflow").exists()


@pytest.mark.parametrize(
    "moment", [fresh_venv, in_the_base_packages, in_tensorflow], ids=lambda moment: moment.__name__
)
def test_a_killed_run_is_mended_by_the_next(fresh: Lab, moment: Callable[[Lab], bool]) -> None:
    process = fresh.start("--skip-tags", "verify")
    wait_until(lambda: moment(fresh), process)
    kill(process)
    whole = fresh.converge("--skip-tags", "verify", "-e", json.dumps({"frameworks": ["tensorflow", "mlx"]}))
    assert whole.code == 0, whole.output
    assert fresh.converge("--skip-tags", "verify", "-e", json.dumps({"frameworks": ["tensorflow", "mlx"]})).changed == 0
    verified = fresh.verify()
    assert verified.code == 0, verified.output
    subprocess.run([fresh.python, "-c", "import numpy, tensorflow, mlx.core"], check=True)
