"""The module conda_env against the stand-in of conda: what it changes, what it leaves, and what it starts."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.metal_lab.macs.plugins.module_utils import lab_record
from ansible_collections.metal_lab.macs.plugins.module_utils.conda import told, way_out
from ansible_collections.metal_lab.macs.verify.target.record import Conda, Homebrew, parse

from tests.helpers.waiting import wait_until
from tests.plugins.modules.conda_env.conftest import MODULE, Lab


def test_it_makes_an_environment_with_python_and_pip_only(lab: Lab) -> None:
    made = lab.run()
    assert made["changed"]
    assert lab.installed() == {"python": "3.11.15", "pip": "26.0.1"}
    python = str(lab.prefix / "bin" / "python")
    assert made["ansible_facts"]["metal_lab_env"] == {"provider": "conda", "prefix": str(lab.prefix), "python": python}
    assert subprocess.run([python, "-c", "pass"], check=False).returncode == 0
    create = f"conda create --prefix {lab.prefix} --yes --json --quiet --override-channels -c conda-forge"
    assert lab.calls == [f"{create} python=3.11 pip"]
    place = lab.home / ".local" / "share" / "metal-lab" / "ml-m1.json"
    start = lab.prefix / "etc" / "metal-lab" / "00-env.sh"
    parts = [(one["before_header"], one["before"], one["after"]) for one in made["diff"]]
    assert parts == [
        (f"conda environment {lab.prefix}", "", "pip 26.0.1 pyh8b19718_0\npython 3.11.15 hd63d673_0_cpython\n"),
        (str(place), "", place.read_text()),
        (str(start), "", start.read_text()),
    ]
    assert json.loads(place.read_text()) == {
        **{"schema": 1, "profile": "ml-m1", "provider": "conda", "prefix": str(lab.prefix), "frameworks": []},
        **{"conda": {"root": str(lab.root), "init": False}, "created": True},
    }


def test_the_second_run_changes_nothing_and_starts_no_process_of_conda(lab: Lab) -> None:
    lab.run()
    assert lab.calls
    before = lab.tree()
    # Neither conda nor conda's Python can be started now.
    (lab.root / "bin").rename(lab.root / "gone")
    again = lab.run()
    assert (again["changed"], again["commands"], lab.calls) == (False, [], [])
    assert "diff" not in again
    (lab.root / "gone").rename(lab.root / "bin")
    assert lab.tree() == before


def test_check_mode_on_a_machine_without_conda_says_what_would_be(lab: Lab) -> None:
    (lab.root / "bin" / "conda").unlink()
    before = lab.tree()
    would = lab.run(check=True)
    assert would["changed"]
    assert "python=3.11 (to be chosen by conda)" in would["diff"][0]["after"]
    assert len(would["diff"]) == 3
    assert lab.tree() == before
    assert f"{lab.root}/bin/conda is not there. Needed: a conda installation" in lab.run()["msg"]
    asked = lab.run(check=True, variables={"A": "1"}, channels=["a", "b"])["diff"][0]["after"]
    assert asked == "A=1\npython=3.11 (to be chosen by conda)\npip (to be chosen by conda)\n"


def test_check_mode_on_an_environment_names_the_drift_and_touches_nothing(lab: Lab) -> None:
    lab.run()
    assert lab.calls
    before = lab.tree()
    would = lab.run(check=True, packages=["pip", "ffmpeg"], variables={"A": "1"})
    assert would["changed"]
    assert would["diff"][0]["after"].endswith("A=1\nffmpeg (to be chosen by conda)\n")
    assert (lab.tree(), lab.calls) == (before, [])
    would = lab.run(check=True, absent_packages=["pip", "nosuch"], packages=[])
    assert would["changed"]
    assert [line.split()[0] for line in would["diff"][0]["after"].splitlines()] == ["python"]
    assert (lab.tree(), lab.calls) == (before, [])
    assert not lab.run(check=True, absent_packages=["nosuch"])["changed"]


def test_packages_are_added_changed_and_removed(lab: Lab) -> None:
    lab.run(packages=["pip", "numpy=1.23"])
    assert lab.installed()["numpy"] == "1.23.5"
    changed = lab.run(packages=["pip", "numpy=2.3"])
    assert "numpy 1.23.5" in changed["diff"][0]["before"]
    assert "numpy 2.3.5" in changed["diff"][0]["after"]
    assert lab.calls
    assert lab.run(absent_packages=["numpy", "nosuch"])["changed"]
    line = f"conda remove --prefix {lab.prefix} --yes --json --quiet"
    channels = "--override-channels -c conda-forge numpy"
    assert lab.calls == [f"{line} --dry-run {channels}", f"{line} {channels}"]
    assert "numpy" not in lab.installed()
    assert not lab.run(absent_packages=["numpy"])["changed"]


def test_a_package_that_the_user_replaced_is_judged_again(lab: Lab) -> None:
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
    text = state.read_text()
    assert not lab.run(variables={"A": "3", "B": None})["changed"]
    would = lab.run(check=True, variables={"A": "4", "N": 1})
    assert (would["changed"], state.read_text()) == (True, text)
    assert would["diff"][0]["after"].endswith("\nA=4\nMINE=x y\nN=1\n")
    assert "\nA=3\nMINE=x y\n" in would["diff"][0]["before"]
    lab.run(variables={"N": 1})
    assert json.loads(state.read_text())["env_vars"] == {"A": "3", "MINE": "x y", "N": "1"}
    state.write_text("{}")
    assert "A=" not in lab.run(variables={"B": "1"})["diff"][0]["after"]


def test_an_environment_made_by_hand_is_adopted(lab: Lab) -> None:
    lab.conda("create", "python=3.11", "pip", "htop")
    adopted = lab.run()
    assert adopted["commands"] == []
    record = json.loads((lab.home / ".local" / "share" / "metal-lab" / "ml-m1.json").read_text())
    assert record["created"] is False
    assert "htop" in lab.installed()
    # Nor does it become ours by another run.
    lab.run(frameworks=["mlx"])
    record = json.loads((lab.home / ".local" / "share" / "metal-lab" / "ml-m1.json").read_text())
    assert (record["created"], record["frameworks"]) == (False, ["mlx"])


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
    assert (made["changed"], lab.installed()["python"]) == (True, "3.11.15")
    assert (Path(made["kept_aside"]) / "notes.txt").read_text() == "mine"
    assert re.fullmatch(r".*/ml-m1\.before-\d{8}T\d{6}Z", made["kept_aside"])
    assert "python 3.12" not in made["diff"][0]["before"]


def test_in_check_mode_nothing_is_put_aside(lab: Lab) -> None:
    lab.run(python="3.12")
    before = lab.tree()
    would = lab.run(check=True, recreate=True)
    assert would["changed"]
    assert "python=3.11 (to be chosen by conda)" in would["diff"][0]["after"]
    assert lab.tree() == before


def test_somebody_elses_folder_is_refused(lab: Lab) -> None:
    lab.prefix.mkdir(parents=True)
    (lab.prefix / "thesis.txt").write_text("mine")
    before = lab.tree()
    refused = lab.run()
    assert "which is not a conda environment" in refused["msg"]
    assert lab.tree() == before
    (lab.home / "link").symlink_to("nowhere")
    assert "which is not a conda environment" in lab.run(prefix=str(lab.home / "link"))["msg"]
    (lab.prefix / "conda-meta" / "history").mkdir(parents=True)
    assert "which is not a conda environment" in lab.run()["msg"]


def test_a_creation_that_was_cut_off_before_conda_began_is_taken_up(lab: Lab) -> None:
    lab.prefix.parent.mkdir(parents=True, exist_ok=True)
    lab.prefix.with_name(".ml-m1.being-made").touch()
    assert lab.run()["changed"]
    assert lab.installed()["python"] == "3.11.15"


def test_an_empty_folder_is_a_place_for_it_and_one_that_is_not_there(lab: Lab) -> None:
    for prefix in (lab.prefix, lab.home / "a" / "b" / "env"):
        if prefix == lab.prefix:
            prefix.mkdir(parents=True)
        assert lab.run(prefix=str(prefix), profile=prefix.name)["changed"]
        assert (prefix / "bin" / "python").exists()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("odd.json", "{", "cannot be read as JSON"),
        ("odd.json", "", "cannot be read as JSON"),
        ("odd.json", None, "cannot be read as JSON"),
        ("odd.json", "[]", "holds no JSON object"),
        ("state", "[]", "holds no JSON object"),
    ],
)
def test_a_damaged_environment_is_said(lab: Lab, name: str, content: str | None, said: str) -> None:
    meta = lab.prefix / "conda-meta"
    meta.mkdir(parents=True)
    (meta / "history").touch()
    if content is None:
        (meta / name).mkdir()
    else:
        (meta / name).write_text(content)
    failed = lab.run()
    assert f"{meta / name} {said}" in failed["msg"]
    assert (failed["changed"], failed["commands"]) == (False, [])


def test_an_environment_without_python_is_of_another_series(lab: Lab) -> None:
    (lab.prefix / "conda-meta").mkdir(parents=True)
    (lab.prefix / "conda-meta" / "history").touch()
    assert "with no Python. Needed: Python 3.11" in lab.run()["msg"]


def test_base_is_refused(lab: Lab) -> None:
    (lab.home / "link").symlink_to(lab.root)
    for prefix in (lab.root, lab.home / "link"):
        assert "conda's own base environment" in lab.run(prefix=str(prefix))["msg"]
    lab_record.write("ml-m1", {"schema": 1, "profile": "ml-m1", "provider": "conda", "prefix": str(lab.root)})
    assert "conda's own base environment" in lab.remove()["msg"]
    assert (lab.root / "bin" / "conda").exists()


def test_what_is_no_record_is_not_touched(lab: Lab) -> None:
    place = lab_record.path("ml-m1")
    place.parent.mkdir(parents=True)
    place.write_text("{}")
    for answer in (lab.run(), lab.remove()):
        assert "Move it away" in answer["msg"]
    assert place.read_text() == "{}"


def test_condas_own_message_comes_through(lab: Lab) -> None:
    failed = lab.run(packages=["pip", "nosuchthing"])
    assert failed["failed"]
    said = "conda create failed: PackagesNotFoundInChannelsError: The following packages are not available"
    assert said in failed["msg"]
    assert "nosuchthing" in failed["msg"]
    assert (failed["changed"], lab.prefix.exists(), lab.prefix.with_name(".ml-m1.being-made").exists()) == (
        False,
        False,
        False,
    )


def test_a_specification_that_conda_does_not_understand_is_named(lab: Lab) -> None:
    lab.run()
    failed = lab.run(packages=["pip", "numpy=="])
    assert failed["failed"]
    assert "numpy==" in failed["msg"]


@pytest.mark.parametrize(("said", "shown"), [("first\nlast\n", "last"), ("", "no message")])
def test_of_condas_python_the_last_line_is_shown(lab: Lab, said: str, shown: str) -> None:
    lab.run()
    python = lab.root / "bin" / "python"
    python.unlink()
    python.write_text(f"#!/bin/sh\ncat >/dev/null\nprintf '{said}' >&2\nexit 1\n")
    python.chmod(0o755)
    failed = lab.run(packages=["pip", "ffmpeg"])
    assert failed["msg"] == f"conda does not understand one of ffmpeg: {shown}. Mend conda_env_packages."


def test_condas_python_is_asked_by_itself(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the user's PYTHONPATH has is not what conda decides with. Nor is a memory that cannot be read believed."""
    lab.run()
    (lab.home / "conda").mkdir()
    (lab.home / "conda" / "__init__.py").write_text("raise ImportError('not this one')\n")
    monkeypatch.setenv("PYTHONPATH", f"{lab.home}:{os.environ['PYTHONPATH']}")
    evidence = lab.prefix / "etc" / "metal-lab" / "conda-specs.json"
    text = evidence.read_text()
    for memory in (None, "", "[]", "{}", '{"pip": ""}'):
        evidence.unlink() if memory is None else evidence.write_text(memory)
        assert lab.run(check=True)["changed"] is False
        assert evidence.exists() is (memory is not None)
        assert lab.run()["changed"] is False
        assert evidence.read_text() == text


@pytest.mark.parametrize(
    ("out", "err", "code", "said"),
    [
        ("out\n", "err\n", 1, "out\nerr"),
        ('{"success": false, "error": "no"}', "", 0, "no"),
        ('{"success": true, "message": "half"}', "", 3, "half"),
        ("{}", "err\n", 3, "{}err"),
        ("", "", 3, "exit code 3"),
    ],
)
def test_conda_that_fails_is_shown_with_what_it_said(lab: Lab, out: str, err: str, code: int, said: str) -> None:
    lab.run()
    lab.conda_says(out, err, code)
    failed = lab.run(packages=["pip", "ffmpeg"], channels=["a", "b"])
    line = f"{lab.root}/bin/conda install --prefix {lab.prefix} --yes --json --quiet --dry-run"
    assert failed["msg"] == (
        f"conda install failed: {said}\nNothing is known here of such a failure.\nRun it by hand for the whole story: "
        f"{line} --override-channels -c a -c b python=3.11 pip ffmpeg"
    )
    assert (failed["changed"], len(failed["commands"])) == (False, 1)


def test_conda_that_reports_success_and_did_nothing_is_not_believed(lab: Lab) -> None:
    lab.run()
    lab.conda_says('{"success": true}')
    assert f"but {lab.prefix} does not satisfy ffmpeg." in lab.run(packages=["pip", "ffmpeg"])["msg"]
    lab.remove()
    assert f"but {lab.prefix} does not satisfy python=3.11, pip." in lab.run()["msg"]


def test_an_environment_whose_python_cannot_be_run_is_said(lab: Lab) -> None:
    lab.run()
    (lab.prefix / "bin" / "python").unlink()
    assert "says that it has Python, but" in lab.run()["msg"]
    assert not lab.run(check=True)["changed"]


def test_a_killed_creation_is_taken_up_again(lab: Lab) -> None:
    (lab.room / "hang-conda").write_text("linking")
    arguments = {"conda_root": str(lab.root), "prefix": str(lab.prefix), "profile": "ml-m1", "python": "3.11"}
    process = subprocess.Popen(
        [sys.executable, "-m", MODULE], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=lab.environment,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
    process.stdin.close()
    wait_until((lab.prefix / "conda-meta").exists, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (lab.room / "hang-conda").unlink()
    half = lab.tree()
    assert lab.run(check=True)["changed"]
    assert lab.tree() == half
    assert lab.run()["changed"]
    assert lab.installed()["python"] == "3.11.15"
    assert not lab.run()["changed"]


@pytest.mark.parametrize("others", [False, True], ids=["alone", "beside another profile"])
def test_what_was_made_is_removed_and_all_else_stays(lab: Lab, others: bool) -> None:
    lab.run()
    data = lab_record.data_folder()
    (data / "uv" / "bin").mkdir(parents=True)
    (data / "python").mkdir()
    if others:
        (data / "other.json").touch()
    before = lab.tree()
    assert lab.calls
    listed = [lab.prefix, *([] if others else [data / "uv", data / "python"]), data / "ml-m1.json"]
    for check in (True, False):
        answer = lab.remove(check=check)
        assert answer["changed"]
        assert [(one["before"], one["after"]) for one in answer["diff"]] == [
            ("".join(f"{one}\n" for one in listed), "")
        ]
        assert (lab.tree() == before) is check
    assert lab.calls == []
    assert [path.exists() for path in (lab.prefix, data / "uv", data / "python", data)] == [
        False,
        others,
        others,
        others,
    ]
    again = lab.remove()
    assert again["changed"] is False
    assert again["msg"] == "There is no environment 'ml-m1' made by metal-lab on this machine."


def test_an_environment_that_has_the_package_conda_is_none_of_condas_own(lab: Lab) -> None:
    lab.run()
    (lab.prefix / "condabin").mkdir()
    assert lab.remove()["changed"]
    assert not lab.prefix.exists()


def test_the_conda_that_a_record_names_is_never_taken_away(lab: Lab) -> None:
    shutil.rmtree(lab.root / "condabin")
    (lab.home / "link").symlink_to(lab.root)
    conda = {"root": str(lab.root), "init": False}
    for prefix in (lab.root, lab.home / "link"):
        record = {"schema": 1, "profile": "ml-m1", "provider": "conda", "prefix": str(prefix), "created": True}
        lab_record.write("ml-m1", {**record, "conda": conda})
        assert "conda's own base environment" in lab.remove()["msg"]
    assert (lab.root / "bin" / "conda").exists()


def test_without_its_conda_the_environment_goes_all_the_same(lab: Lab) -> None:
    lab.run()
    (lab.root / "bin" / "conda").unlink()
    assert lab.remove()["changed"]
    assert not lab.prefix.exists()


def test_what_was_adopted_stays(lab: Lab) -> None:
    lab.conda("create", "python=3.11", "pip")
    lab.run()
    assert lab.calls
    lab.remove()
    assert ("python" in lab.installed(), lab.calls) == (True, [])
    assert not (lab.prefix / "etc" / "metal-lab").exists()


def test_half_of_what_was_made_goes_without_conda(lab: Lab) -> None:
    """And of a link that stands in its place only the link."""
    lab.run()
    shutil.rmtree(lab.prefix / "conda-meta")
    lab.prefix.rename(lab.home / "elsewhere")
    lab.prefix.symlink_to(lab.home / "elsewhere")
    assert lab.calls
    assert lab.remove()["changed"]
    assert (lab.calls, lab.prefix.is_symlink(), (lab.home / "elsewhere" / "bin").exists()) == ([], False, True)


def test_an_environment_of_another_maker_is_left(lab: Lab) -> None:
    record = {"schema": 1, "profile": "ml-m1", "provider": "uv", "prefix": str(lab.prefix)}
    lab_record.write("ml-m1", record)
    said = lab.run()["msg"]
    assert f"is already at {lab.prefix} (made by uv)" in said
    assert f"{lab.prefix} is the environment of the profile 'ml-m1'" in lab.run(profile="other")["msg"]
    assert "Set env_provider and env_prefix to those" in said
    assert json.loads(lab_record.path("ml-m1").read_text()) == record


def test_a_start_file_that_was_altered_is_mended(lab: Lab) -> None:
    lab.run()
    start = lab.prefix / "etc" / "metal-lab" / "00-env.sh"
    text = start.read_text()
    start.write_text("other")
    for check, left in ((True, "other"), (False, text)):
        answer = lab.run(check=check)
        assert (answer["changed"], answer["commands"]) == (True, [])
        assert [(one["before"], one["after"]) for one in answer["diff"]] == [("other", text)]
        assert start.read_text() == left


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
    said = list(told(answer))
    assert said == [f"ChecksumMismatchError: {message.strip()}", "and another"]
    assert "--tags purge -e purge=python-3.11.15-h1_0_cpython.conda`" in way_out(said[0], [])


def test_an_answer_that_says_nothing_is_empty() -> None:
    assert list(told({"success": False})) == []
    assert way_out("", []) == "Nothing is known here of such a failure."


def test_errors_in_whatever_form_are_told() -> None:
    nested = {"errors": [{"errors": [{"message": " a "}]}, "b", {"error": "c"}, {}, "", "b"], "message": "not this"}
    assert list(told(nested)) == ["a", "b", "c"]
    assert list(told({"message": "m", "error": "e"})) == ["m"]
    assert list(told({"errors": [], "error": "e", "exception_name": "E"})) == ["E: e"]
    assert list(told({"error": "E('x')", "exception_name": "E"})) == ["E('x')"]
