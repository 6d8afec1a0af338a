"""What was cut off is put right, what a user has is not lost, and nobody's settings reach conda."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.metal_lab.macs.plugins.module_utils import lab_record
from ansible_collections.metal_lab.macs.plugins.modules import environment_absent

from tests.helpers import conda_transcripts
from tests.helpers.conda_transcripts import ABSENT
from tests.helpers.waiting import wait_until
from tests.plugins.modules.conda_env.conftest import MODULE, Lab

FULL = conda_transcripts.transcripts()
HTOP = "htop-3.4.1-h7bae524_0.json"


def killed(lab: Lab, place: str, **options: Any) -> None:
    """Run the module until conda is at a place, and kill both."""
    (lab.room / "hang-conda").write_text(place)
    base = {"conda_root": str(lab.root), "prefix": str(lab.prefix), "profile": "ml-m1", "python": "3.11"}
    line = [sys.executable, "-m", MODULE]
    process = subprocess.Popen(
        line, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=lab.environment, start_new_session=True
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": {**base, **options}}).encode())
    process.stdin.close()
    wait_until(lambda: hangs(process.pid), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (lab.room / "hang-conda").unlink()


def hangs(group: int) -> bool:
    """Whether a conda of this process group waits for a signal."""
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            line = (status.parent / "cmdline").read_bytes()
            if os.getpgid(int(status.parent.name)) != group or b"bin/conda\0" not in line or b"--dry-run" in line:
                continue
            caught = int(status.read_text().partition("SigCgt:")[2].split()[0], 16)
        except (OSError, IndexError):
            continue
        if caught & 1 << signal.SIGTERM - 1 and "State:\tS" in status.read_text():
            return True
    return False


@pytest.mark.parametrize("place", ["fetching", "linking"])
def test_a_killed_change_gives_back_what_it_had_taken(lab: Lab, place: str) -> None:
    """Also packages of the user's, that nobody asks for now."""
    lab.run(packages=["pip", "numpy=1.23"])
    killed(lab, place, packages=["pip", "numpy=2.3"])
    assert ("numpy" in lab.installed()) is (place == "fetching")
    half = lab.tree()
    would = lab.run(check=True)
    assert (would["changed"], lab.tree()) == (place == "linking", half)
    assert would["changed"] is False or would["diff"][0]["after"].endswith("numpy (to be chosen by conda)\n")
    assert lab.run()["changed"] is (place == "linking")
    assert lab.installed()["numpy"] == "1.23.5"
    assert lab.run()["commands"] == []
    assert not (lab.prefix / "etc" / "metal-lab" / "conda-change.json").exists()


def test_a_version_that_was_lost_gives_way_to_what_is_asked_for(lab: Lab) -> None:
    lab.run(packages=["pip", "numpy=1.23"])
    killed(lab, "linking", packages=["pip", "numpy=2.3"])
    lab.run(packages=["pip", "numpy=2.3"])
    assert lab.installed()["numpy"] == "2.3.5"


def test_python_itself_comes_back(lab: Lab) -> None:
    lab.run(packages=["pip", "numpy=1.23"])
    killed(lab, "fetching", packages=["pip", "numpy=2.3"])
    python = lab.prefix / "conda-meta" / "python-3.11.15-hd63d673_0_cpython.json"
    python.rename(python.with_name(f"{python.name}.c~"))
    assert "with 3.11. Needed: Python 3.12" in lab.run(python="3.12")["msg"]
    assert "python (to be chosen by conda)" in lab.run(check=True)["diff"][0]["after"]
    assert lab.run()["changed"]
    assert lab.installed()["python"] == "3.11.15"


def test_what_fails_while_something_is_to_come_back_is_told(lab: Lab) -> None:
    """And comes back in the run after that."""
    lab.run(packages=["pip", "numpy=1.23"])
    killed(lab, "linking", packages=["pip", "numpy=2.3"])
    assert "no-such-package" in lab.run(packages=["pip", "no-such-package"])["msg"]
    lab.run()
    assert lab.installed()["numpy"] == "1.23.5"


def test_what_must_not_be_there_does_not_come_back(lab: Lab) -> None:
    lab.run(packages=["pip", "numpy=1.23"])
    killed(lab, "linking", packages=["pip", "numpy=2.3"])
    assert lab.run(absent_packages=["numpy"])["changed"] is False
    assert "numpy" not in lab.installed()


@pytest.mark.parametrize("damage", ["half a record", "an empty record", "a file is gone"])
def test_what_a_killed_change_left_half_is_installed_again(lab: Lab, damage: str) -> None:
    """Only then: without a change of ours that was cut off, a damaged record is said."""
    lab.run(packages=["pip", "htop", "numpy=1.23"])
    record = lab.prefix / "conda-meta" / HTOP
    (lab.prefix / "bin" / "htop").touch()
    whole = json.dumps({**json.loads(record.read_text()), "files": ["bin/htop"]})
    record.write_text(whole)
    killed(lab, "linking", packages=["pip", "numpy=2.3"])
    if damage == "a file is gone":
        (lab.prefix / "bin" / "htop").unlink()
    else:
        record.write_text(whole[: len(whole) // 2] if damage == "half a record" else "")
    half = lab.tree()
    assert "htop (to be chosen by conda)" in lab.run(check=True)["diff"][0]["after"]
    assert lab.tree() == half
    lab.run()
    assert json.loads(record.read_text())["files"] == []
    if damage != "a file is gone":
        record.write_text("")
        assert "cannot be read as JSON" in lab.run()["msg"]


def test_a_package_that_lacked_a_file_before_is_left_as_it_was(lab: Lab) -> None:
    """pip and uv replace files of conda's packages, for good reason."""
    lab.run(packages=["pip", "htop", "numpy=1.23"])
    record = lab.prefix / "conda-meta" / HTOP
    text = json.dumps({**json.loads(record.read_text()), "files": ["bin/htop"]})
    record.write_text(text)
    killed(lab, "linking", packages=["pip", "numpy=2.3"])
    lab.run()
    assert record.read_text() == text


@pytest.mark.parametrize("history", [None, b"\xff\xfe\x00"])
def test_an_environment_that_lost_its_history_gets_one(lab: Lab, history: bytes | None) -> None:
    """conda itself then refuses to change it: a change that was taken back deletes the file."""
    lab.run()
    place = lab.prefix / "conda-meta" / "history"
    place.unlink() if history is None else place.write_bytes(history)
    half = lab.tree()
    assert (lab.run(check=True)["changed"], lab.tree()) == (True, half)
    assert lab.run(packages=["pip", "htop"])["changed"]
    assert "+conda-forge/osx-arm64::htop" in place.read_text()
    assert place.with_name("history.damaged").exists() is (history is not None)
    place.unlink()
    healed = lab.run()
    assert (healed["changed"], healed["commands"], place.read_text()) == (True, [], "")
    assert [one["before_header"] for one in healed["diff"]] == [str(place)]
    assert lab.run()["changed"] is False


def test_a_change_that_conda_took_back_leaves_the_history_it_had(lab: Lab) -> None:
    lab.run()
    place = lab.prefix / "conda-meta" / "history"
    text = place.read_text()
    # The recorded channel has this package, whose script fails.
    failed = lab.run(packages=["pip", "postfail"])
    assert "The script that conda-forge::postfail-1.0-0 brings" in failed["msg"]
    assert (failed["changed"], place.read_text()) == (False, text)
    assert lab.run()["changed"] is False


def test_a_failed_creation_leaves_the_former_environment_in_its_place(lab: Lab) -> None:
    lab.run(python="3.12")
    (lab.prefix / "notes.txt").write_text("mine")
    before = lab.environment_tree()
    failed = lab.run(recreate=True, packages=["pip", "postfail"])
    assert failed["msg"].endswith(
        "Nothing of the new environment was left. The former environment is back in its place."
    )
    assert (failed["changed"], "kept_aside" in failed, lab.environment_tree()) == (False, False, before)
    assert [path.name for path in lab.prefix.parent.iterdir()] == ["ml-m1"]


def test_after_a_killed_creation_the_former_environment_is_put_back(lab: Lab) -> None:
    lab.run(python="3.12", variables={"A": "1"})
    before = lab.environment_tree()
    killed(lab, "linking", recreate=True)
    half = lab.tree()
    would = lab.run(check=True, python="3.12")
    assert (would["changed"], lab.tree()) == (True, half)
    assert would["diff"][0]["after"].endswith(", put back\n")
    assert lab.run(python="3.12")["changed"]
    assert lab.environment_tree() == before
    killed(lab, "linking", recreate=True)
    made = lab.run(recreate=True)
    assert (lab.installed()["python"], Path(made["kept_aside"], "conda-meta").exists()) == ("3.11.15", True)
    assert len(list(lab.prefix.parent.iterdir())) == 2


def test_killed_before_the_former_environment_was_moved_nothing_of_it_goes(lab: Lab) -> None:
    lab.run(python="3.12")
    before = lab.environment_tree()
    lab.prefix.with_name(".ml-m1.being-made").write_text(f"{lab.prefix}.before-x")
    assert "with 3.12. Needed" in lab.run()["msg"]
    assert lab.environment_tree() == before


def test_an_environment_that_a_user_made_after_a_killed_creation_is_theirs(lab: Lab) -> None:
    killed(lab, "linking")
    lab.conda("create", "python=3.11", "pip", "htop")
    assert lab.run()["commands"] == []
    assert "htop" in lab.installed()
    assert not lab.prefix.with_name(".ml-m1.being-made").exists()


@pytest.mark.parametrize("place", ["fetching", "linking", "post-link"])
def test_uninstalled_after_a_killed_creation_nothing_of_it_stays(lab: Lab, place: str) -> None:
    """As recorded of conda's own death: what it left behind, in create-sigkill-*, has no history."""
    before = lab.tree()
    killed(lab, place)
    half = lab.tree()
    assert (lab.remove(check=True)["changed"], lab.tree()) == (True, half)
    assert lab.remove()["changed"]
    left = {path: text for path, text in lab.tree().items() if "/.conda/" not in path and "/pkgs/" not in path}
    assert left == before
    assert not lab.prefix.exists()
    assert not lab_record.data_folder().exists()
    assert not lab.remove()["changed"]


@pytest.mark.parametrize("created", [True, False], ids=["ours", "adopted"])
def test_uninstalled_in_the_middle_of_a_new_one_the_former_environment_is_what_it_was(lab: Lab, created: bool) -> None:
    if created:
        lab.run(python="3.12")
    else:
        lab.conda("create", "python=3.12", "pip")
        lab.run(python="3.12")
    former = lab.environment_tree()
    killed(lab, "linking", recreate=True)
    assert lab.remove()["changed"]
    assert lab.environment_tree() == ({} if created else former)
    assert [path.name for path in lab.prefix.parent.iterdir()] == ([] if created else ["ml-m1"])


@pytest.mark.parametrize("run", [False, True], ids=["at once", "after a run"])
def test_uninstalling_leaves_what_a_user_made_after_a_killed_creation(lab: Lab, run: bool) -> None:
    killed(lab, "linking")
    lab.conda("create", "python=3.11", "pip", "htop")
    theirs = lab.environment_tree()
    if run:
        assert "failed" not in lab.run()
    assert lab.remove()["changed"]
    assert lab.environment_tree() == theirs
    assert not lab_record.being_made(lab.prefix).exists()


@pytest.mark.parametrize("run", [False, True], ids=["at once", "after a run"])
def test_what_a_conda_made_that_outlived_its_run_is_ours(lab: Lab, run: bool) -> None:
    """The module was killed alone, and conda went on to its end, by the very command that the module had noted."""
    before = lab.tree()
    killed(lab, "linking", packages=["pip"])
    noted = lab_record.being_made(lab.prefix).read_text()
    lab.remove()
    (command,) = lab.run()["commands"]
    assert noted == f"\n{' '.join(command)}\n"
    lab_record.being_made(lab.prefix).write_text(noted)
    if run:
        assert lab.run()["commands"] == []
    assert lab.remove()["changed"]
    left = {path: text for path, text in lab.tree().items() if "/.conda/" not in path and "/pkgs/" not in path}
    assert left == before


def test_nothing_goes_along_that_was_not_named(lab: Lab) -> None:
    lab.run(packages=["numpy"])
    before = lab.environment_tree()
    refused = lab.run(packages=["numpy"], absent_packages=["pip"])
    assert refused["msg"] == (
        "Nothing was changed: `conda remove pip` would also take away numpy, python. If that is meant, add numpy, "
        "python to conda_env_absent_packages; else change what is asked for."
    )
    assert (refused["changed"], lab.environment_tree()) == (False, before)


@pytest.mark.parametrize(
    "text",
    [
        "channels: [conda-forge\n",
        "subdir: linux-aarch64\n",
        "create_default_packages:\n  - htop\n",
        "override_channels_enabled: false\n",
        "something: new\n",
    ],
)
@pytest.mark.parametrize("place", [".condarc", "miniforge3/.condarc"])
def test_no_configuration_file_reaches_conda(lab: Lab, text: str, place: str) -> None:
    (lab.home / place).write_text(text)
    line = [str(lab.root / "bin" / "conda"), "create", "--prefix", str(lab.prefix), "--yes", "--json", "--quiet"]
    line += ["--override-channels", "-c", "conda-forge", "python=3.11"]
    assert subprocess.run(line, env=lab.environment, capture_output=True, check=False).returncode != 0
    lab.run()
    assert lab.installed() == {"python": "3.11.15", "pip": "26.0.1"}


def test_no_variable_reaches_conda(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("CONDA_SUBDIR", "linux-aarch64"),
        ("CONDA_OFFLINE", "true"),
        ("CONDARC", "/nowhere"),
        ("PYTHONHOME", "/nowhere"),
    ):
        monkeypatch.setenv(name, value)
    lab.run()
    assert lab.installed() == {"python": "3.11.15", "pip": "26.0.1"}
    # From a terminal that is in the environment.
    monkeypatch.setenv("CONDA_PREFIX", str(lab.prefix))
    assert lab.run(packages=["pip", "htop"])["changed"]
    assert lab.remove()["changed"]
    assert not lab.prefix.exists()


@pytest.mark.parametrize("how", ["frozen", "corrupt", "no history", "no packages", "read-only", "no conda"])
def test_taking_it_away_needs_nobodys_consent(lab: Lab, how: str) -> None:
    lab.run()
    known = lab.home / ".conda" / "environments.txt"
    known.write_text(f"/opt/other\n{lab.prefix}\n{lab.prefix}2\n")
    meta = lab.prefix / "conda-meta"
    if how == "frozen":
        (meta / "frozen").touch()
    elif how == "corrupt":
        (meta / "pip-26.0.1-pyh8b19718_0.json").write_text("{")
    elif how == "no history":
        (meta / "history").unlink()
    elif how == "no packages":
        for path in meta.glob("*.json"):
            path.unlink()
    elif how == "read-only":
        meta.chmod(0o500)
    else:
        (lab.root / "bin" / "conda").unlink()
    assert lab.remove()["changed"]
    assert (lab.prefix.exists(), known.read_text()) == (False, f"/opt/other\n{lab.prefix}2\n")


def test_read_only_folders_are_made_writable_before_they_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests as root may write everywhere."""
    (tmp_path / "env" / "below").mkdir(parents=True)
    changed: list[tuple[str, int]] = []
    monkeypatch.setattr(os, "access", lambda path, _: path != str(tmp_path / "env" / "below"))
    monkeypatch.setattr(Path, "chmod", lambda path, mode: changed.append((path.name, mode)))
    environment_absent._take_away(tmp_path / "env")
    assert (changed, list(tmp_path.iterdir())) == ([("below", 0o700)], [])


def test_what_may_not_be_deleted_is_said(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.run()

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(environment_absent, "_take_away", refuse)
    assert f"Permission denied: '{lab.prefix}'. Needed: the right to delete it." in lab.remove()["msg"]


@pytest.mark.skipif(not FULL, reason=ABSENT)
@pytest.mark.parametrize(
    "name", [name for name, one in FULL.items() if name.startswith("remove-all-") and one["before"].get("conda_meta")]
)
def test_where_conda_was_asked_before_it_goes_whatever_conda_said(lab: Lab, name: str) -> None:
    lab.run()
    meta = lab.prefix / "conda-meta"
    before = FULL[name]["before"]
    for path in meta.iterdir():
        path.unlink()
    for file in before["conda_meta"]:
        (meta / file).write_text("" if file != "history" else before["history"])
    assert lab.remove()["changed"]
    assert not lab.prefix.exists()


def test_variables_leave_what_else_conda_keeps_there(lab: Lab) -> None:
    lab.run(variables={"A": "1"})
    state = lab.prefix / "conda-meta" / "state"
    state.write_text(json.dumps({**json.loads(state.read_text()), "version": 2, "other": [1]}))
    lab.run(variables={"A": "2"})
    assert json.loads(state.read_text()) == {"version": 2, "other": [1], "env_vars": {"A": "2"}}


def test_a_folder_that_may_not_be_written_is_said(lab: Lab) -> None:
    lab.prefix.parent.rmdir()
    lab.prefix.parent.write_text("a file")
    assert f"The environment {lab.prefix} cannot be changed: " in lab.run()["msg"]
