"""What stands at the environment's place, and whose it is."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.metal_lab.macs.plugins.action import uv_env as uv_env_action
from ansible_collections.metal_lab.macs.plugins.module_utils import lab_record, uv_tool
from ansible_collections.metal_lab.macs.plugins.module_utils.environment import RefusedError
from ansible_collections.metal_lab.macs.plugins.modules import environment_absent, uv_venv
from ansible_collections.metal_lab.macs.plugins.modules.uv_venv import inspect
from ansible_collections.metal_lab.macs.verify.profile.lock import UV_LOCK

from tests.helpers.pins import locked
from tests.helpers.plugins import run_action, run_module


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    return tmp_path


def make(prefix: Path, version: str = "3.11.7") -> None:
    """A virtual environment as far as it is looked at."""
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python").touch()
    (prefix / "pyvenv.cfg").write_text(f"home = /usr/bin\nimplementation = CPython\nversion_info = {version}\n")


def note(prefix: Path, provider: str = "uv") -> None:
    """A record that claims the environment."""
    record = {"schema": 1, "profile": "ml-m1", "provider": provider, "prefix": str(prefix), "frameworks": []}
    lab_record.write("ml-m1", record)


def test_an_empty_or_absent_place_is_free(home: Path) -> None:
    assert not inspect(home / "env", "ml-m1", "3.11", recreate=False).usable
    (home / "env").mkdir()
    assert not inspect(home / "env", "ml-m1", "3.11", recreate=False).usable


def test_ours_with_the_right_python_is_usable(home: Path) -> None:
    make(home / "env")
    note(home / "env")
    assert inspect(home / "env", "ml-m1", "3.11", recreate=False).usable


@pytest.mark.parametrize(
    ("text", "python"),
    [("version = 3.11.7\n", "3.11"), ("x = 1\nversion_info=3.12\n", "3.12"), ("inversion = 3.11\n", ""), ("", "")],
)
def test_the_python_there_is_the_one_that_its_configuration_names(home: Path, text: str, python: str) -> None:
    make(home / "env")
    note(home / "env")
    (home / "env" / "pyvenv.cfg").write_text(text)
    found = inspect(home / "env", "ml-m1", "3.11", recreate=True)
    assert (found.python, found.usable) == (python, python == "3.11")


def test_ours_whose_python_is_gone_is_made_again(home: Path) -> None:
    make(home / "env")
    note(home / "env")
    (home / "env" / "bin" / "python").unlink()
    (home / "env" / "bin" / "python").symlink_to("/nowhere/python3.11")
    assert not inspect(home / "env", "ml-m1", "3.11", recreate=False).usable


def test_somebody_elses_files_are_refused(home: Path) -> None:
    make(home / "env")
    with pytest.raises(RefusedError, match="holds files that metal-lab did not put there"):
        inspect(home / "env", "ml-m1", "3.11", recreate=True)


def test_a_file_in_the_place_is_refused(home: Path) -> None:
    (home / "env").touch()
    with pytest.raises(RefusedError, match="did not put there"):
        inspect(home / "env", "ml-m1", "3.11", recreate=False)


def test_another_python_is_refused_unless_asked_for(home: Path) -> None:
    make(home / "env", "3.12.1")
    note(home / "env")
    with pytest.raises(RefusedError, match=r"has Python 3\.12.*needs 3\.11.*uv_env_recreate"):
        inspect(home / "env", "ml-m1", "3.11", recreate=False)
    assert inspect(home / "env", "ml-m1", "3.11", recreate=True).python == "3.12"


def test_a_second_place_or_provider_for_the_same_profile_is_refused(home: Path) -> None:
    note(home / "env")
    with pytest.raises(RefusedError, match=r"already at .*/env .*playbooks/uninstall\.yml"):
        inspect(home / "elsewhere", "ml-m1", "3.11", recreate=False)
    note(home / "env", provider="conda")
    with pytest.raises(RefusedError, match=r"made by conda.*Set env_provider and conda_env_prefix to those"):
        inspect(home / "env", "ml-m1", "3.11", recreate=False)


def test_another_profiles_environment_is_refused(home: Path) -> None:
    note(home / "env")
    with pytest.raises(RefusedError, match=r"env is the environment of the profile 'ml-m1', and the profile 'other'"):
        inspect(home / "env", "other", "3.11", recreate=True)
    assert not inspect(home / "elsewhere", "other", "3.11", recreate=True).usable


@pytest.mark.parametrize("content", ["", "[]", '{"schema": 2}', '{"schema": 1}', "not json"])
def test_a_record_that_is_not_ours_is_an_error(home: Path, content: str) -> None:
    path = lab_record.path("ml-m1")
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(lab_record.RecordError, match="Move it away"):
        inspect(home / "env", "ml-m1", "3.11", recreate=False)


def test_uninstall_takes_only_what_the_record_names(home: Path) -> None:
    make(home / "env")
    note(home / "env")
    data = lab_record.data_folder()
    (data / "uv").mkdir()
    (data / "the user's notes").touch()
    record = lab_record.read("ml-m1")
    assert environment_absent.ours("ml-m1", record) == [home / "env", data / "uv", data / "ml-m1.json"]
    (data / "other.json").write_text(json.dumps({}))
    assert environment_absent.ours("ml-m1", record) == [home / "env", data / "ml-m1.json"]


def test_only_empty_folders_below_the_home_are_pruned(home: Path) -> None:
    (home / "a" / "b" / "c").mkdir(parents=True)
    (home / "a" / "kept").touch()
    lab_record.prune(home / "a" / "b" / "c")
    assert sorted(path.name for path in home.rglob("*")) == ["a", "kept"]
    (home / "a" / "kept").unlink()
    lab_record.prune(home / "a")
    assert home.exists()
    assert list(home.iterdir()) == []


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "record"
    path.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        lab_record.replace(path, b"new")
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["record"]


LOCK = "uv==9.9.9 --hash=sha256:00\n"
REQUIREMENTS = "six==1.17.0 --hash=sha256:00\n"
# A uv that makes an environment as far as it is looked at, fails as it is told, and notes what it is asked.
UV = """#!/bin/sh
[ "$1" != --version ] || { echo "uv 9.9.9"; exit 0; }
cd "$HOME" && echo "$*" >>calls && echo "links=$UV_FIND_LINKS" >>calls
[ ! -e "fail-$1" ] || { cat "fail-$1" >&2; exit 2; }
[ "$1" != pip ] || { while [ "$1" != -r ]; do shift; done; cat "$2" >>calls; }
[ "$1" = venv ] || exit 0
for prefix; do :; done
mkdir -p "$prefix/bin" && echo "version_info = 3.11.9" >"$prefix/pyvenv.cfg" && touch "$prefix/bin/python"
"""


class Machine:
    """A home with the pinned uv in it, and the module run there."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.prefix = home / "a folder" / "it's"
        self.record = lab_record.path("ml-m1")
        self.start = self.prefix / "etc" / "metal-lab" / "00-env.sh"
        self.uv = uv_tool.path(LOCK)
        self.put_uv(self.uv)

    def put_uv(self, place: Path) -> None:
        place.parent.mkdir(parents=True)
        place.write_text(UV)
        place.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        """What uv was asked since the last look."""
        place = self.home / "calls"
        lines = place.read_text().splitlines() if place.exists() else []
        place.unlink(missing_ok=True)
        return lines

    def run(self, *, apply: bool = True, check: bool = False, **options: Any) -> dict[str, Any]:
        base = {"prefix": str(self.prefix), "python": "3.11", "profile": "ml-m1", "frameworks": ["mlx"]}
        more = {"homebrew": {}, "recreate": False, "apply": apply, "uv_lock": LOCK, **options}
        return run_module(uv_venv.main, {**base, **more, "_ansible_tmpdir": str(self.home)}, check=check)


@pytest.fixture
def machine(home: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    for name in ("UV_FIND_LINKS", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    return Machine(home)


def test_an_environment_is_made_once(machine: Machine) -> None:
    before = sorted(machine.home.rglob("*"))
    would = machine.run(apply=False, check=True)
    assert (would["changed"], would["create"], sorted(machine.home.rglob("*"))) == (True, True, before)
    made = machine.run()
    assert (made["changed"], made["create"], made["diff"]) == (True, True, would["diff"])
    stored = {"schema": 1, "profile": "ml-m1", "provider": "uv", "prefix": str(machine.prefix), "frameworks": ["mlx"]}
    assert json.loads(machine.record.read_text()) == stored
    assert machine.start.read_text() == f"\\. '{machine.home}/a folder/it'\\''s'/bin/activate\n"
    assert [(one["before_header"], one["before"], one["after"]) for one in made["diff"]] == [
        (f"environment at {machine.prefix}", "", "Python 3.11\n"),
        (str(machine.record), "", machine.record.read_text()),
        (str(machine.start), "", machine.start.read_text()),
    ]
    python = str(machine.prefix / "bin" / "python")
    fact = {"metal_lab_env": {"provider": "uv", "prefix": str(machine.prefix), "python": python}}
    assert would["ansible_facts"] == made["ansible_facts"] == fact
    asked = f"venv --no-project --allow-existing --python 3.11 --prompt ml-m1 {machine.prefix}"
    assert machine.calls == [asked, "links="]
    again = machine.run()
    assert (again["changed"], again["create"], again["diff"], machine.calls) == (False, False, [], [])


def test_what_the_record_and_the_start_file_say_is_renewed_alone(machine: Machine) -> None:
    machine.run(homebrew={"prefix": "/opt/homebrew"})
    text = machine.record.read_text()
    lab_record.write("ml-m1", {**json.loads(text), "shell": "/h/.zshrc"})
    assert machine.calls
    # A run that leaves Homebrew out keeps what is noted of it.
    assert machine.run()["changed"] is False
    changes: list[dict[str, Any]] = [{"frameworks": []}, {"frameworks": [], "homebrew": {"prefix": "/b"}}]
    for change in changes:
        renewed = machine.run(**change)
        assert (renewed["changed"], renewed["create"]) == (True, False)
        assert [one["before_header"] for one in renewed["diff"]] == [str(machine.record)]
    noted = json.loads(machine.record.read_text())
    assert (noted["frameworks"], noted["homebrew"], noted["shell"]) == ([], {"prefix": "/b"}, "/h/.zshrc")
    machine.start.write_text("other")
    renewed = machine.run(frameworks=[])
    assert (renewed["changed"], renewed["create"]) == (True, False)
    assert [(one["before_header"], one["before"]) for one in renewed["diff"]] == [(str(machine.start), "other")]
    assert machine.start.read_text().endswith("/bin/activate\n")
    assert machine.calls == []


def test_the_index_is_asked_for_every_package_before_anything_is_made(machine: Machine) -> None:
    machine.run(requirements=REQUIREMENTS, find_links="https://index/torch")
    (asked, *rest) = machine.calls
    words = asked.split()
    assert words[:7] == ["pip", "install", "--dry-run", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    assert words[7:9] == ["--python-version", "3.11"]
    assert words[9] == "--target"
    assert words[11] == "-r"
    assert {Path(place).parent.parent for place in words[10::2]} == {machine.home}
    assert rest[:2] == ["links=https://index/torch", REQUIREMENTS.strip()]
    assert rest[2].startswith("venv ")
    assert [path.name for path in machine.home.iterdir() if path.name.startswith("tmp")] == []


@pytest.mark.parametrize("fetched", [False, True])
def test_an_index_that_lacks_a_package_changes_nothing(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, fetched: bool
) -> None:
    if fetched:
        machine.uv.rename(machine.home / "uv")
        uv_tool.forget(LOCK)
        machine.put_uv(machine.home / "beside" / "uv")
        monkeypatch.setattr(sys, "executable", str(machine.home / "beside" / "python"))
    (machine.home / "fail-pip").write_text("no six")
    before = {*machine.home.rglob("*"), machine.home / "calls"}
    refused = machine.run(requirements=REQUIREMENTS)
    assert refused["failed"]
    assert refused["msg"] == "Nothing was changed. uv failed.\nuv said (exit code 2):\nno six"
    assert set(machine.home.rglob("*")) == before


def test_an_environment_that_cannot_be_made_is_known_to_be_ours(machine: Machine) -> None:
    (machine.home / "fail-venv").write_text("no room")
    failed = machine.run()
    assert f"Could not make an environment with Python 3.11 at {machine.prefix}." in failed["msg"]
    assert failed["msg"].endswith("uv said (exit code 2):\nno room")
    assert json.loads(machine.record.read_text())["prefix"] == str(machine.prefix)
    assert not machine.start.exists()


def test_another_python_goes_aside_and_a_lost_one_is_made_in_its_place(machine: Machine) -> None:
    make(machine.prefix, "3.12.1")
    note(machine.prefix)
    (machine.prefix / "notes").touch()
    assert "has Python 3.12; the profile" in machine.run()["msg"]
    made = machine.run(recreate=True)
    assert (made["diff"][0]["before"], made["diff"][0]["after"]) == ("Python 3.12\n", "Python 3.11\n")
    (aside,) = machine.prefix.parent.glob("it's.python3.12-*T*")
    assert (aside / "notes").exists()
    assert not (machine.prefix / "notes").exists()
    (machine.prefix / "bin" / "python").unlink()
    (machine.prefix / "notes").touch()
    assert machine.run()["create"] is True
    assert (machine.prefix / "notes").exists()
    assert len(list(machine.prefix.parent.iterdir())) == 2


def test_a_record_of_another_version_is_not_touched(machine: Machine) -> None:
    machine.record.write_text("{}")
    assert "Move it away" in machine.run()["msg"]
    answer = run_module(environment_absent.main, {"profile": "ml-m1"})
    assert "Move it away" in answer["msg"]
    assert machine.record.read_text() == "{}"


@pytest.mark.parametrize("linked", [False, True])
def test_uninstall_leaves_nothing_of_ours_and_all_else(machine: Machine, linked: bool) -> None:
    answer = run_module(environment_absent.main, {"profile": "ml-m1"})
    assert answer["changed"] is False
    assert answer["msg"] == "There is no environment 'ml-m1' made by metal-lab on this machine."
    machine.run()
    assert machine.calls
    if linked:
        machine.prefix.rename(machine.home / "elsewhere")
        machine.prefix.symlink_to(machine.home / "elsewhere")
    before = sorted(machine.home.rglob("*"))
    for check in (True, False):
        answer = run_module(environment_absent.main, {"profile": "ml-m1"}, check=check)
        assert answer["changed"] is True
        doomed = f"{machine.prefix}\n{lab_record.data_folder() / 'uv'}\n{machine.record}\n"
        assert [(one["before"], one["after"]) for one in answer["diff"]] == [(doomed, "")]
        assert (sorted(machine.home.rglob("*")) == before) is check
    assert [path.name for path in machine.home.iterdir()] == (["elsewhere"] if linked else [])
    assert not linked or (machine.home / "elsewhere" / "pyvenv.cfg").exists()


Calls = list[dict[str, Any]]


def run_plugin(
    monkeypatch: pytest.MonkeyPatch, answers: list[dict[str, Any]], *, check: bool = False, **options: Any
) -> tuple[dict[str, Any], Calls]:
    """The action with a module that answers as told; returns the result, and with what the module was called."""
    calls: Calls = []

    def execute(_: object, name: str, arguments: dict[str, Any], *, task_vars: dict[str, Any]) -> dict[str, Any]:
        assert (name, task_vars) == ("metal_lab.macs.uv_venv", {"a": 1})
        calls.append(arguments)
        return answers[len(calls) - 1]

    monkeypatch.setattr(uv_env_action.ActionModule, "_execute_module", execute)
    base = {"prefix": "/p", "profile": "ml-m1", "frameworks": ["mlx"], "platform": "linux-x86_64", **options}
    return run_action(uv_env_action.ActionModule, base, check=check, variables={"a": 1}), calls


def test_the_module_gets_the_lock_where_an_environment_is_to_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    create = {"changed": True, "create": True}
    result, calls = run_plugin(monkeypatch, [create, {"changed": True, "made": 1}])
    asked = {
        **{"prefix": "/p", "python": "3.11", "profile": "ml-m1", "frameworks": ["mlx"]},
        **{"homebrew": {}, "recreate": False},
    }
    assert result == {"changed": True, "made": 1}
    assert calls[0] == {**asked, "apply": False}
    requirements = calls[1].pop("requirements")
    assert calls[1].pop("find_links").startswith("https://")
    assert calls[1] == {**asked, "apply": True, "uv_lock": UV_LOCK.read_text(encoding="utf-8")}
    assert f"numpy=={locked('numpy', 'linux-x86_64')}" in requirements
    assert "mlx==" in requirements
    assert "--hash=sha256:" in requirements
    assert "torch==" not in requirements
    _, calls = run_plugin(monkeypatch, [create, {}], platform="darwin-arm64")
    assert calls[1]["find_links"] == ""


def test_nothing_is_sent_that_is_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    for answer, check in (({"changed": False}, False), ({"changed": True, "create": True}, True)):
        result, calls = run_plugin(monkeypatch, [answer], check=check)
        assert (result, len(calls)) == (answer, 1)
    options: dict[str, Any] = {"homebrew": {"prefix": "/b"}, "recreate": True, "frameworks": []}
    _, calls = run_plugin(monkeypatch, [{"changed": True, "create": False}, {}], **options)
    assert [set(one) & {"requirements", "uv_lock", "find_links"} for one in calls] == [set(), set()]
    assert [one["apply"] for one in calls] == [False, True]
    assert calls[1].items() >= {"homebrew": {"prefix": "/b"}, "recreate": True, "frameworks": []}.items()


@pytest.mark.parametrize("wrong", [{"profile": "none"}, {"platform": "vax"}, {"frameworks": ["caffe"]}])
def test_what_the_profile_does_not_know_is_said(monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any]) -> None:
    result, calls = run_plugin(monkeypatch, [], **wrong)
    assert result["failed"]
    assert next(str(one[0] if isinstance(one, list) else one) for one in wrong.values()) in result["msg"]
    assert calls == []
