"""The module conda_env against the stand-in of conda: what it changes, what it leaves, and what it starts."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from roles.conda_env.library.conda_env import told, way_out
from tests.conda_env.conftest import MODULE, Lab
from tests.waiting import wait_until
from verify.target.record import Conda, Homebrew, parse


def test_it_makes_an_environment_with_python_and_pip_only(lab: Lab) -> None:
    made = lab.run()
    assert made["changed"]
    assert lab.installed() == {"python": "3.11.15", "pip": "26.0.1"}
    python = str(lab.prefix / "bin" / "python")
    assert made["ansible_facts"]["metal_lab_env"] == {"provider": "conda", "prefix": str(lab.prefix), "python": python}
    assert subprocess.run([python, "-c", "pass"], check=False).returncode == 0
    assert lab.calls == [
        f"conda create --prefix {lab.prefix} --yes --json --quiet --override-channels -c conda-forge python=3.11 pip"
    ]


def test_the_second_run_changes_nothing_and_starts_no_process_of_conda(lab: Lab) -> None:
    lab.run()
    assert lab.calls
    before = lab.tree()
    # Neither conda nor conda's Python can be started now.
    (lab.root / "bin").rename(lab.root / "gone")
    again = lab.run()
    assert (again["changed"], again["commands"], lab.calls) == (False, [], [])
    (lab.root / "gone").rename(lab.root / "bin")
    assert lab.tree() == before


def test_check_mode_on_a_machine_without_conda_says_what_would_be(lab: Lab) -> None:
    (lab.root / "bin" / "conda").unlink()
    before = lab.tree()
    would = lab.run(check=True)
    assert would["changed"]
    assert "python=3.11 (to be chosen by conda)" in would["diff"][0]["after"]
    assert lab.tree() == before


def test_check_mode_on_an_environment_names_the_drift_and_touches_nothing(lab: Lab) -> None:
    lab.run()
    assert lab.calls
    before = lab.tree()
    would = lab.run(check=True, packages=["pip", "ffmpeg"], variables={"A": "1"})
    assert would["changed"]
    assert would["diff"][0]["after"].endswith("A=1\nffmpeg (to be chosen by conda)\n")
    assert (lab.tree(), lab.calls) == (before, [])


def test_packages_are_added_changed_and_removed(lab: Lab) -> None:
    lab.run(packages=["pip", "numpy=1.23"])
    assert lab.installed()["numpy"] == "1.23.5"
    changed = lab.run(packages=["pip", "numpy=2.3"])
    assert "numpy 1.23.5" in changed["diff"][0]["before"]
    assert "numpy 2.3.5" in changed["diff"][0]["after"]
    assert lab.run(absent_packages=["numpy"])["changed"]
    assert "numpy" not in lab.installed()
    assert not lab.run(absent_packages=["numpy"])["changed"]


def test_a_package_that_the_user_replaced_is_judged_anew(lab: Lab) -> None:
    lab.run(packages=["numpy=1.23"])
    lab.conda("install", "numpy=2")
    assert lab.installed()["numpy"] == "2.3.5"
    assert lab.run(packages=["numpy=1.23"])["changed"]
    assert lab.installed()["numpy"] == "1.23.5"


def test_packages_that_the_user_added_are_kept(lab: Lab) -> None:
    lab.run()
    lab.conda("install", "htop")
    assert not lab.run()["changed"]
    lab.run(packages=["pip", "ffmpeg"])
    assert set(lab.installed()) == {"python", "pip", "htop", "ffmpeg"}


def test_variables_are_set_changed_and_taken_away_beside_the_users_own(lab: Lab) -> None:
    lab.run(variables={"A": "1", "B": "2"})
    state = lab.prefix / "conda-meta" / "state"
    kept = json.loads(state.read_text())
    kept["env_vars"]["MINE"] = "x y"
    state.write_text(json.dumps(kept))
    assert lab.run(variables={"A": "3", "B": None})["changed"]
    assert json.loads(state.read_text()) == {"version": 1, "env_vars": {"A": "3", "MINE": "x y"}}
    assert not lab.run(variables={"A": "3", "B": None})["changed"]


def test_an_environment_made_by_hand_is_adopted(lab: Lab) -> None:
    lab.conda("create", "python=3.11", "pip", "htop")
    adopted = lab.run()
    assert adopted["commands"] == []
    record = json.loads((lab.home / ".local" / "share" / "metal-lab" / "ml-m1.json").read_text())
    assert record["created"] is False
    assert "htop" in lab.installed()


def test_the_wrong_python_is_refused_and_nothing_is_changed(lab: Lab) -> None:
    lab.run(python="3.12")
    before = lab.tree()
    refused = lab.run()
    assert refused["failed"]
    assert "with 3.12. Needed: Python 3.11" in refused["msg"]
    assert "conda_env_recreate" in refused["msg"]
    assert lab.tree() == before


def test_told_to_recreate_it_keeps_the_old_one_aside(lab: Lab) -> None:
    lab.run(python="3.12")
    (lab.prefix / "notes.txt").write_text("mine")
    made = lab.run(recreate=True)
    assert lab.installed()["python"] == "3.11.15"
    assert (Path(made["kept_aside"]) / "notes.txt").read_text() == "mine"


def test_somebody_elses_folder_is_refused(lab: Lab) -> None:
    lab.prefix.mkdir(parents=True)
    (lab.prefix / "thesis.txt").write_text("mine")
    before = lab.tree()
    refused = lab.run()
    assert "which is not a conda environment" in refused["msg"]
    assert lab.tree() == before


def test_base_is_refused(lab: Lab) -> None:
    assert "conda's own base environment" in lab.run(prefix=str(lab.root))["msg"]


def test_condas_own_message_comes_through(lab: Lab) -> None:
    failed = lab.run(packages=["pip", "nosuchthing"])
    assert failed["failed"]
    assert "conda create failed: The following packages are not available" in failed["msg"]
    assert "nosuchthing" in failed["msg"]


def test_a_specification_that_conda_does_not_understand_is_named(lab: Lab) -> None:
    lab.run()
    failed = lab.run(packages=["pip", "numpy=="])
    assert failed["failed"]
    assert "numpy==" in failed["msg"]


def test_conda_that_reports_success_and_did_nothing_is_not_believed(lab: Lab) -> None:
    lab.run()
    conda = lab.root / "bin" / "conda"
    conda.write_text("""#!/bin/sh\necho '{"success": true}'\n""")
    assert "conda reported success, but" in lab.run(packages=["pip", "ffmpeg"])["msg"]


def test_a_killed_creation_is_taken_up_again(lab: Lab) -> None:
    (lab.room / "hang-conda").write_text("create")
    arguments = {"conda_root": str(lab.root), "prefix": str(lab.prefix), "profile": "ml-m1", "python": "3.11"}
    process = subprocess.Popen(
        [sys.executable, str(MODULE)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=lab.environment,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
    process.stdin.close()
    wait_until((lab.prefix / "conda-meta").exists, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (lab.room / "hang-conda").unlink()
    assert lab.run()["changed"]
    assert lab.installed()["python"] == "3.11.15"
    assert not lab.run()["changed"]


def test_what_was_made_is_removed_and_what_was_adopted_stays(lab: Lab) -> None:
    lab.run()
    assert lab.run(state="absent")["changed"]
    assert not lab.prefix.exists()
    assert not lab.run(state="absent")["changed"]
    lab.conda("create", "python=3.11", "pip")
    lab.run()
    lab.run(state="absent")
    assert "python" in lab.installed()
    assert not (lab.prefix / "etc" / "metal-lab").exists()


def test_the_record_notes_what_the_system_was_made_ready_with(lab: Lab) -> None:
    asked = {"prefix": "/opt/homebrew", "formulae": ["git"], "casks": [], "shellenv": True}
    assert lab.run(check=True, homebrew=asked)["changed"] is True
    lab.run(init=True, homebrew=asked)
    place = lab.home / ".local" / "share" / "metal-lab" / "ml-m1.json"
    record = parse(place.read_text(), "ml-m1")
    assert record.homebrew == Homebrew("/opt/homebrew", ("git",), (), True)
    assert record.conda == Conda(str(lab.root), True)
    # A run that leaves Homebrew out (--skip-tags system) keeps what is noted of it.
    assert lab.run(init=True)["changed"] is False
    assert parse(place.read_text(), "ml-m1") == record
    assert lab.run(init=True, homebrew={**asked, "formulae": []})["changed"] is True


def test_another_place_for_a_recorded_environment_is_refused(lab: Lab) -> None:
    lab.run()
    assert "is already at" in lab.run(prefix=str(lab.home / "elsewhere"))["msg"]


def test_a_shell_that_reads_the_activation_file_is_in_the_environment(lab: Lab) -> None:
    lab.run(variables={"KERAS_BACKEND": "tensorflow"})
    start = lab.prefix / "etc" / "metal-lab" / "00-env.sh"
    # zsh does too: the simulated Macs have it (molecule/mac/tests), this machine may not.
    for shell in ("sh", "bash"):
        done = subprocess.run(
            [shell, "-c", f'. "{start}"; command -v python; echo "$KERAS_BACKEND"'],
            env=lab.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.stdout == f"{lab.prefix}/bin/python\ntensorflow\n", (shell, done.stderr)


def test_a_package_that_came_altered_is_named_with_the_way_out() -> None:
    """As conda answers with --json where packages are fetched: a list of errors without a message of its own."""
    url = "http://cache.lab.example.org:8423/conda/conda-forge/osx-arm64/python-3.11.15-h1_0_cpython.conda"
    message = (
        "Conda detected a mismatch between the expected content and downloaded content\n"
        f"for url '{url}'.\n  download saved to: /x\n  expected sha256: a\n  actual sha256: b\n"
    )
    answer = {
        "exception_name": "CondaMultiError",
        "errors": [{"exception_name": "ChecksumMismatchError", "message": message}, {"error": "and another"}],
        "error": "Multiple Errors Encountered.",
    }
    said = told(answer)
    assert said == f"{message.strip()}\nand another"
    assert "--tags purge -e purge=python-3.11.15-h1_0_cpython.conda`" in way_out(said)


def test_an_answer_that_says_nothing_is_empty() -> None:
    assert told({"success": False}) == ""
    assert "conda_env_channels" in way_out("")
