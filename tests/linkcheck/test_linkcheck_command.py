"""The command: exit codes, output, and when a check is done anew."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from verify.errors import UserError
from verify.linkcheck import command, compat, document, report, staging
from verify.linkcheck.findings import Finding
from verify.profile import model as profiles
from verify.profile.model import Platform, Profile

from .machos import PYTHON_TAG, Toolchain, install


class Uv:
    """Stands in for laying down: puts a package in the folder, and counts how often."""

    def __init__(self, fill: Callable[[Path], None]) -> None:
        self.fill = fill
        self.calls = 0

    def lock(self, _profile: Profile, _platform: Platform, folder: Path) -> None:
        self.calls += 1
        self.fill(folder)

    def resolved(self, requirements: list[str], _python: str, _platform: Platform, folder: Path, **_: object) -> None:
        if "refused==1" in requirements:
            raise UserError("no solution")
        self.alone(requirements, _python, _platform, folder)

    def alone(self, _requirements: list[str], _python: str, _platform: Platform, folder: Path, **_: object) -> None:
        self.calls += 1
        self.fill(folder)


@pytest.fixture
def good() -> Callable[[Path], None]:
    def fill(folder: Path) -> None:
        (folder / "one").mkdir(parents=True)
        (folder / "one" / "__init__.py").write_text("")
        install(folder, "one", files=("one/__init__.py",))

    return fill


@pytest.fixture
def bad(toolchain: Toolchain, good: Callable[[Path], None]) -> Callable[[Path], None]:
    def fill(folder: Path) -> None:
        good(folder)
        lib = toolchain.build(toolchain.work / "libgone.dylib", "int foo(void) { return 1; }")
        use = "int foo(void); int use(void) { return foo(); }"
        path = f"two/mod.{PYTHON_TAG}.so"
        toolchain.module(folder / path, use, links=(lib,), rpaths=("@loader_path",))
        install(folder, "two", files=(path,))

    return fill


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def use(monkeypatch: pytest.MonkeyPatch, fill: Callable[[Path], None]) -> Uv:
    uv = Uv(fill)
    monkeypatch.setattr(staging, "lay_down_lock", uv.lock)
    monkeypatch.setattr(staging, "lay_down", uv.resolved)
    monkeypatch.setattr(staging, "lay_down_alone", uv.alone)
    load = profiles.load
    monkeypatch.setattr(profiles, "load", lambda name: replace(load(name), accepted_findings=()))
    return uv


def test_all_loads(
    monkeypatch: pytest.MonkeyPatch, good: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, good)
    assert command.main([]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("loads: ml-m1 on darwin-arm64")
    assert "laying down" in shown.err


def test_something_does_not_load(
    monkeypatch: pytest.MonkeyPatch,
    bad: Callable[[Path], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    use(monkeypatch, bad)
    file = tmp_path / "result.json"
    assert command.main(["--json", str(file)]) == 1
    out = capsys.readouterr().out
    assert out.startswith("does not load as it should")
    assert "import two.mod" in out
    data = json.loads(file.read_text())
    Draft202012Validator(json.loads(report.SCHEMA.read_text())).validate(data)
    assert data["loads"] is False
    assert [one["kind"] for one in data["findings"]] == ["missing-dependency"]


def test_it_is_not_done_again_while_nothing_changes(
    monkeypatch: pytest.MonkeyPatch, bad: Callable[[Path], None], cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uv = use(monkeypatch, bad)
    assert command.main([]) == 1
    first = capsys.readouterr().out
    assert command.main([]) == 1
    assert (uv.calls, capsys.readouterr().out) == (1, first)
    assert [path.suffix for path in (cache / "metal-lab" / "linkcheck").iterdir()] == [".json"]  # no tree is left
    assert command.main(["--fresh"]) == 1
    assert uv.calls == 2


def test_it_is_done_again_for_another_floor(monkeypatch: pytest.MonkeyPatch, good: Callable[[Path], None]) -> None:
    uv = use(monkeypatch, good)
    loaded = profiles.load("ml-m1")
    command.check_profile(loaded, lambda _: None)
    mac = replace(loaded.platform("darwin-arm64"), macos_floor="15.0")
    newer = replace(loaded, platforms={**loaded.platforms, "darwin-arm64": mac})
    assert command.check_profile(newer, lambda _: None).macos_floor == "15.0"
    assert uv.calls == 2


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema": 99}'])
def test_a_damaged_result_of_last_time_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, good: Callable[[Path], None], cache: Path, text: str
) -> None:
    uv = use(monkeypatch, good)
    assert command.main([]) == 0
    for path in (cache / "metal-lab" / "linkcheck").iterdir():
        path.write_text(text)
    assert command.main([]) == 0
    assert uv.calls == 2


def test_an_acceptance_is_not_part_of_what_is_kept(
    monkeypatch: pytest.MonkeyPatch, bad: Callable[[Path], None]
) -> None:
    uv = use(monkeypatch, bad)
    loaded = profiles.load("ml-m1")
    first = command.check_profile(loaded, lambda _: None)
    known = profiles.AcceptedFinding(first.findings[0].id, "Known.", "here")
    second = command.check_profile(replace(loaded, accepted_findings=(known,)), lambda _: None)
    third = command.check_profile(loaded, lambda _: None)
    assert [first.loads, second.loads, third.loads] == [False, True, False]
    assert uv.calls == 1


def test_an_unknown_profile_is_told() -> None:
    with pytest.raises(UserError, match="no profile 'nonesuch'"):
        command.main(["--profile", "nonesuch"])


def test_compat_shows_each_choice(
    monkeypatch: pytest.MonkeyPatch, bad: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, bad)
    assert compat.main(["--package", "two=1,2", "--package", "one=1"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| two | one | loads | declared | why |"
    assert [line.split("|")[1:5] for line in lines[2:]] == [
        [" 1 ", " 1 ", " no ", " yes "],
        [" 2 ", " 1 ", " no ", " yes "],
    ]


def test_compat_checks_what_may_not_be_installed_together(
    monkeypatch: pytest.MonkeyPatch, good: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, good)
    assert compat.main(["--package", "one=1", "--package", "refused=1"]) == 0
    assert "| 1 | 1 | yes | no |" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["tensorflow", "=1", "tensorflow="])
def test_compat_wants_a_name_and_versions(text: str) -> None:
    with pytest.raises(SystemExit):
        compat.main(["--package", text])


def test_a_report_that_the_check_contradicts_stands_out() -> None:
    row = document.Row({"jaxlib": "0.5.1"}, True, (), ())
    finding = Finding("missing-symbol", "x", "y", ("a", "b"), ("_s", "_t"))
    broken = document.Row({"jaxlib": "0.5.2"}, True, (finding,), ())
    matrix = {
        "title": "JAX",
        "reports": [
            {
                "versions": {"jaxlib": "0.5.1"},
                "loads": False,
                "said": "fails",
                "link": "#1",
                "disagreement": "it is semantic",
            },
            {"versions": {"jaxlib": "0.5.2"}, "loads": False, "said": "fails", "link": "#2"},
            {"versions": {"jaxlib": "0.9"}, "loads": False, "said": "fails", "link": "#3"},
        ],
    }
    text = document.render([(matrix, [row, broken])], profiles.load("ml-m1"), "2026-11-21")
    assert "**the check disagrees**: it is semantic" in text
    assert "(#2): the check agrees" in text
    assert "(#3): not in the table" in text
    assert "a → b: missing `_s` and 1 more, 2 in all" in text
