"""The command: exit codes, output, and when a check is done anew."""

import io
import itertools
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from rich.console import Console

from verify.errors import UserError
from verify.linkcheck import command, compat, document, macho, packages, report, staging
from verify.linkcheck.findings import Counts, Finding, Result
from verify.linkcheck.packages import Target
from verify.macos import show_version
from verify.profile import model as profiles
from verify.profile.model import Platform, Profile

from .conftest import TARGET
from .machos import PYTHON_TAG, Toolchain, built_for, install, write


class Uv:
    """Stands in for laying down: puts a package in the folder, and counts how often."""

    def __init__(self, fill: Callable[[Path], None]) -> None:
        self.fill = fill
        self.releases: list[str] = []
        self.folders: list[Path] = []
        self.asked: list[tuple[list[str], dict[str, Any]]] = []

    def lock(self, _profile: Profile, _platform: Platform, folder: Path, macos: str) -> None:
        self.releases.append(macos)
        self.lay(folder)

    def lay(self, folder: Path) -> None:
        self.folders.append(folder)
        self.fill(folder)

    @property
    def calls(self) -> int:
        """How often all releases were laid down."""
        return self.releases.count(self.releases[0])

    def resolved(self, requirements: list[str], _python: str, _platform: Platform, folder: Path, **how: object) -> None:
        if "refused==1" in requirements:
            raise UserError("no solution")
        self.alone(requirements, _python, _platform, folder, **how)

    def alone(self, requirements: list[str], _python: str, _platform: Platform, folder: Path, **how: object) -> None:
        self.asked.append((requirements, how))
        self.lay(folder)


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
    assert "laying packages down as macOS 15.0 takes them" in shown.err


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
    assert command.check_profile(newer, lambda _: None).releases == ("15.0", "26.0", "27.0")
    assert uv.releases == ["14.4", "15.0", "26.0", "27.0", "15.0", "26.0", "27.0"]


def three_choices(folder: Path) -> None:
    """A lock of which 15 takes another wheel than 14.4, and 26 and 27 a third, which is built for 26.2."""
    release = "26.0" if folder.name == "27.0" else folder.name
    built = {"14.4": 14 << 16, "15.0": 15 << 16, "26.0": 26 << 16 | 2 << 8}[release]
    write(folder / "one" / "lib.dylib", built_for(minos=built))
    install(folder, "one", files=("one/lib.dylib",), tag=f"py3-none-macosx_{release[:2]}_0_arm64")
    (folder / "two.py").write_text("")
    install(folder, "two", files=("two.py",), tag="py3-none-any")


def test_each_macos_is_asked_about(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, three_choices)
    file = tmp_path / "result.json"
    assert command.main(["--json", str(file)]) == 1
    data = json.loads(file.read_text())
    Draft202012Validator(json.loads(report.SCHEMA.read_text())).validate(data)
    assert data["releases"] == ["14.4", "15.0", "26.0", "26.2", "27.0"]
    assert [(one["releases"], one["differs"]) for one in data["choices"]] == [
        (["14.4"], []),
        (["15.0"], ["one-1.0"]),
        (["26.0", "26.2", "27.0"], ["one-1.0"]),
    ]
    assert [one["counts"]["files"] for one in data["choices"]] == [8, 8, 8]
    assert [(one["id"], one["releases"]) for one in data["findings"]] == [("too-new:one/lib.dylib", ["26.0"])]
    shown = " ".join(capsys.readouterr().out.split())
    assert "macOS 14.4 to 27: 1 finding(s), none of them on 14.4 to 15 and 26.2 to 27 on macOS 26.0 and 26.1" in shown
    assert "on macOS 26.0 and 26.1: 1 file(s) built for macOS 26.2 Findings" in shown
    assert "too-new:one/lib.dylib (macOS 26.0 and 26.1)" in shown
    assert "macOS 26 to 27, with other wheels of one-1.0: 2 packages, 8 files" in shown


def test_the_wheels_of_a_lock_are_written_for_verify(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Which are of other macOS releases; of a lock that was made since nothing is known."""
    use(monkeypatch, three_choices)
    loaded = profiles.load("ml-m1")
    folder = tmp_path / "profile"
    folder.mkdir()
    lock = folder / "darwin-arm64.lock"
    lock.write_bytes(loaded.lock_path("darwin-arm64").read_bytes())
    own = replace(loaded, directory=folder)
    assert own.wheels("darwin-arm64") == {}
    command.write_wheels(command.check_profile(loaded, lambda _: None), own)
    assert own.wheels("darwin-arm64") == {"one": (14, 15, 26)}
    lock.write_text("another")
    assert own.wheels("darwin-arm64") == {}


@pytest.mark.parametrize("name", ["ml-m1", "current"])
def test_the_wheels_of_a_profiles_lock_are_known(name: str) -> None:
    """`python -m verify linkcheck --profile NAME --wheels` writes them again."""
    assert profiles.load(name).wheels("darwin-arm64").keys() == {"mlx", "mlx-metal"} or name == "current"
    assert profiles.load(name).wheels("darwin-arm64")


def test_what_some_releases_have_can_be_accepted_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, three_choices)
    known = profiles.AcceptedFinding("too-new:one/lib.dylib", "Update.", "here", ">=26,<26.2")
    loaded = replace(profiles.load("ml-m1"), accepted_findings=(known,))
    checked = command.check_profile(loaded, lambda _: None)
    assert checked.loads
    report.show(checked, Console(highlight=False))
    assert "on macOS 26.0 and 26.1: 1 file(s) built for macOS 26.2, accepted\n" in capsys.readouterr().out
    stale = replace(known, macos="<26")
    (finding, told) = command.check_profile(replace(loaded, accepted_findings=(stale,)), lambda _: None).findings
    assert (finding.accepted, told.id) == (None, "stale-acceptance:too-new:one/lib.dylib")
    assert told.releases == ("14.4", "15.0", "26.0", "26.2", "27.0")


def test_the_same_fault_of_several_choices_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(folder: Path) -> None:
        three_choices(folder)
        (folder / "stray").write_text("")

    use(monkeypatch, fill)
    checked = command.check_profile(profiles.load("ml-m1"), lambda _: None)
    assert [(one.id, one.releases) for one in checked.findings] == [
        ("no-owner:files", ("14.4", "15.0", "26.0", "26.2", "27.0")),
        ("too-new:one/lib.dylib", ("26.0",)),
    ]


def test_files_of_the_same_sizes_are_not_taken_to_be_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is a wheel believed that has the RECORD of another one."""

    def fill(folder: Path) -> None:
        folder.mkdir()
        (folder / "one.py").write_text("a = 1")
        install(folder, "one", files=("one.py",))
        if folder.name == "27.0":
            (folder / "one.py").write_text("a = 2")

    use(monkeypatch, fill)
    checked = command.check_profile(profiles.load("ml-m1"), lambda _: None)
    assert [choice.releases for choice in checked.choices] == [("14.4", "15.0", "26.0"), ("27.0",)]
    assert [(one.id, one.releases) for one in checked.findings] == [("record:one", ("27.0",))]


def test_a_file_of_several_choices_is_read_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store = tmp_path / "store"
    write(store / "lib.dylib")
    (store / "shared.py").write_text("import one")

    def fill(folder: Path) -> None:
        three_choices(folder)
        for name in ("lib.dylib", "shared.py"):
            (folder / name).hardlink_to(store / name)
        install(folder, "three", files=("lib.dylib", "shared.py"))

    read: list[str] = []
    real = macho.read

    def reading(file: Path, path: str) -> macho.Image:
        read.append(path)
        return real(file, path)

    monkeypatch.setattr(macho, "read", reading)
    places = []
    for release in ((14, 4, 0), (15, 0, 0), (26, 0, 0), (27, 0, 0)):
        places.append((replace(TARGET, floor=release), tmp_path / show_version(release)))
        fill(places[-1][1])
    checked = command.check_laid(lambda _: None, places, "test")
    assert [choice.counts.images for choice in checked.choices] == [2, 2, 2]
    assert sorted(read) == ["lib.dylib", *["one/lib.dylib"] * 4]


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


@pytest.mark.parametrize("text", ["tensorflow", "=1", "tensorflow=", "tensorflow==1.16.0"])
def test_compat_wants_a_name_and_versions(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        compat.main(["--package", text])
    assert ended.value.code == 2
    assert "is not NAME=VERSION" in capsys.readouterr().err


def test_compat_takes_a_name_that_is_given_twice(
    monkeypatch: pytest.MonkeyPatch, good: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """With the versions of both, under its canonical name."""
    uv = use(monkeypatch, good)
    assert compat.main(["--package", "My_One=1", "--package", "two=3", "--package", "my.one=2"]) == 0
    assert [asked for asked, _ in uv.asked] == [["my-one==1", "two==3"], ["my-one==2", "two==3"]]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| my-one | two | loads | declared | why |"
    assert [line.split("|")[1] for line in lines[2:]] == [" 1 ", " 2 "]


def test_compat_tells_what_is_found_of_a_name_that_is_written_otherwise(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fill(folder: Path) -> None:
        install(folder, "my-one", tag="py2-none-any")

    use(monkeypatch, fill)
    assert compat.main(["--package", "My_One=1"]) == 1
    assert "| 1 | no | yes | my-one 1.0 is a wheel for py2-none-any" in capsys.readouterr().out


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
    text = document.section(matrix, [row, broken], profiles.load("ml-m1"), "2026-11-21")
    assert "**the check disagrees**: it is semantic" in text
    assert "(#2): the check agrees" in text
    assert "(#3): not in the table" in text
    assert "a → b: missing `_s` and 1 more, 2 in all" in text


@pytest.mark.parametrize("tool", [command, compat])
def test_help_is_the_modules_text(
    tool: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    with pytest.raises(SystemExit) as ended:
        tool.main(["--help"])
    shown = capsys.readouterr().out
    assert ended.value.code == 0
    assert shown.startswith(
        f"usage: python -m verify {tool.__name__.rpartition('.')[2].replace('command', 'linkcheck')} "
    )
    assert tool.__doc__.strip() in shown


def test_each_check_has_a_folder_beside_where_results_are_kept(
    monkeypatch: pytest.MonkeyPatch, good: Callable[[Path], None], cache: Path
) -> None:
    """On the same file system as uv's cache, as a rule: files are linked, not copied."""
    uv = use(monkeypatch, good)
    assert command.main([]) == 0
    assert command.main(["--fresh"]) == 0
    assert {one.parents[1] for one in uv.folders} == {cache / "metal-lab" / "linkcheck"}
    assert all(one.parent.name.startswith("tree-") for one in uv.folders)
    assert len({one.parent for one in uv.folders}) == 2


def test_results_are_kept_below_the_home_folder_where_nothing_else_is_said(
    monkeypatch: pytest.MonkeyPatch, good: Callable[[Path], None], tmp_path: Path
) -> None:
    use(monkeypatch, good)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for said in ("", None):
        monkeypatch.delenv("XDG_CACHE_HOME") if said is None else monkeypatch.setenv("XDG_CACHE_HOME", said)
        assert command.main([]) == 0
    assert len(list((tmp_path / "home" / ".cache" / "metal-lab" / "linkcheck").iterdir())) == 1


@pytest.mark.parametrize(
    ("file", "anew"), [("check.py", True), ("data.json", True), ("names.txt", True), ("notes.yml", False)]
)
def test_a_change_of_the_check_itself_makes_it_anew(
    monkeypatch: pytest.MonkeyPatch, good: Callable[[Path], None], tmp_path: Path, file: str, anew: bool
) -> None:
    uv = use(monkeypatch, good)
    monkeypatch.setattr(command, "__file__", str(tmp_path / "check" / "command.py"))
    (tmp_path / "check").mkdir()
    for text in ("1", "1", "2"):
        (tmp_path / "check" / file).write_text(text)
        command.main([])
    assert uv.calls == (2 if anew else 1)


def test_times_and_memory(monkeypatch: pytest.MonkeyPatch, good: Callable[[Path], None], tmp_path: Path) -> None:
    """Of all processes the one counts that had most: this one, uv, or the one that reads."""
    use(monkeypatch, good)
    used = {"self": 3000, "children": 5_000_000}
    names = {"RUSAGE_SELF": "self", "RUSAGE_CHILDREN": "children"}
    usage = SimpleNamespace(**names, getrusage=lambda who: SimpleNamespace(ru_maxrss=used[who]))
    monkeypatch.setattr(command, "resource", usage)
    monkeypatch.setattr(command, "time", SimpleNamespace(monotonic=itertools.count(1000, 7).__next__))
    checked = command.check_profile(profiles.load("ml-m1"), lambda _: None)
    assert (checked.seconds, checked.peak_mb) == (7, 5120)
    used["children"] = 0
    assert 3.072 < command.check_profile(profiles.load("ml-m1"), lambda _: None, fresh=True).peak_mb < 5000
    used["self"] = 7_000_000
    monkeypatch.setattr(command, "sys", SimpleNamespace(platform="darwin"))
    (tmp_path / "empty").mkdir()
    target = Target("3.11", (14, 4, 1), pjrt_compatibility=False)
    checked = command.check_folder(lambda _: None, tmp_path / "empty", target, "test")
    assert (checked.seconds, checked.peak_mb, checked.releases) == (7, 7.0, ("14.4.1",))
    assert len(checked.checked_at) == len("2026-11-21T00:00:00+00:00")


@pytest.mark.parametrize(
    ("floor", "deployment", "setting", "expected"),
    [
        ("14.4", "15.0", "1", Target("3.11", (14, 4, 0), True)),
        (None, "15.0", "true", Target("3.11", (15, 0, 0), True)),
        (None, None, "0", Target("3.11", (11, 0, 0), False)),
        ("14.4", None, None, Target("3.11", (14, 4, 0), False)),
    ],
)
def test_what_a_profiles_packages_are_meant_for(
    floor: str | None, deployment: str | None, setting: str | None, expected: Target
) -> None:
    loaded = profiles.load("ml-m1")
    mac = replace(loaded.platform("darwin-arm64"), macos_floor=floor, macos_deployment_target=deployment)
    jax = replace(loaded.frameworks["jax"], environment={"ENABLE_PJRT_COMPATIBILITY": setting} if setting else {})
    changed = replace(loaded, platforms={"darwin-arm64": mac}, frameworks={"jax": jax})
    assert command.target_of(changed) == expected
    assert command.target_of(replace(changed, frameworks={})) == replace(expected, pjrt_compatibility=False)


def test_what_is_being_done_is_told_apart_from_the_result(
    monkeypatch: pytest.MonkeyPatch, good: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, good)
    monkeypatch.setenv("FORCE_COLOR", "1")
    command.main([])
    shown = capsys.readouterr()
    assert (
        "\x1b[1;32mloads\x1b[0m: ml-m1 on darwin-arm64, Python 3.11, macOS 14.4 to 27\n" in shown.out
    )  # the verdict alone
    assert shown.err.startswith("linkcheck: laying packages down as macOS 14.4 ")
    command.main([])
    assert "linkcheck: the lock has not changed since it was checked (20" in capsys.readouterr().err


KNOWN = profiles.AcceptedFinding("duplicate-runtime:openmp", "No choice.", "see [#1]")
REPORT = report.Report(
    subject="[b]test[/b]",
    platform="darwin-arm64",
    python="3.11",
    releases=("14.4",),
    choices=(report.Choice(("14.4",), (), Counts(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)),),
    lock_sha256=None,
    checked_at="2026-11-21T00:00:00+00:00",
    seconds=12.345,
    peak_mb=98.7,
    findings=(
        Finding(
            "missing-symbol",
            "a.so",
            "Gone [x].",
            ("import a", "a.so"),
            tuple(f"_{one}" for one in range(10)),
            releases=("14.4",),
        ),
        Finding("record", "b", "Lies.", details=tuple(f"file{one}" for one in range(8)), releases=("14.4",)),
        Finding("duplicate-runtime", "openmp", "Two copies.", accepted=KNOWN, releases=("14.4",)),
    ),
    assumptions=("macOS has [it].",),
)


def shown_of(one: report.Report) -> str:
    file = io.StringIO()
    report.show(one, Console(file=file, width=58, highlight=False))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def test_what_is_shown() -> None:
    known = """\
Known and accepted in the profile
┌───────────────────────────────┐
│ duplicate-runtime:openmp      │
│ Two copies.                   │
│ Accepted: No choice. see [#1] │
└───────────────────────────────┘
macOS 14.4 to 14.x:
  1 packages, 2 files (10 compared with their RECORD), 3
Mach-O images in 4 loads
  5 dependencies (6 on macOS); symbols: 7 looked up, 19
assumed in macOS, 9 in Python
12.3 s, 99 MB; checked 2026-11-21T00:00:00+00:00"""
    found = """\
does not load as it should: [b]test[/b] on darwin-arm64,
Python 3.11, macOS 14.4 to 14.x: 2 finding(s)
Findings
┌────────────────────────────────────┐
│ missing-symbol:a.so                │
│ Gone [x].                          │
│ import a → a.so                    │
│   _0                               │
│   _1                               │
│   _2                               │
│   _3                               │
│   _4                               │
│   _5                               │
│   _6                               │
│   _7                               │
│   and 2 more (--json has them all) │
├────────────────────────────────────┤
│ record:b                           │
│ Lies.                              │
│   file0                            │
│   file1                            │
│   file2                            │
│   file3                            │
│   file4                            │
│   file5                            │
│   file6                            │
│   file7                            │
└────────────────────────────────────┘
"""
    assert shown_of(REPORT) == f"{found}{known}\nAssumed:\n- macOS has [it]."
    one = replace(REPORT, subject="x", findings=REPORT.findings[2:], assumptions=())
    assert shown_of(one) == f"loads: x on darwin-arm64, Python 3.11, macOS 14.4 to 14.x\n{known}"


def test_a_long_word_is_folded_and_not_cut_off() -> None:
    text = shown_of(replace(REPORT, findings=(Finding("record", "x" * 200, "Lies.", releases=("14.4",)),)))
    assert text.count("x") == 200 + 2 * "14.x".count("x")


def test_a_report_is_kept_whole(tmp_path: Path) -> None:
    plain = replace(REPORT, findings=REPORT.findings[:2])
    report.write_json(plain, tmp_path / "one.json")
    text = (tmp_path / "one.json").read_text()
    assert text.startswith('{\n "schema": 2,\n "loads": false,\n')
    assert text.endswith("}\n")
    assert report.Report.from_document(json.loads(text)) == plain
    assert [one["accepted"] for one in REPORT.document()["findings"]] == [None, None, asdict(KNOWN)]


def test_something_is_assumed_once() -> None:
    result = Result()
    for sentence in ("a", "b", "a"):
        result.assume(sentence)
    assert (result.assumptions, result.counts) == (["a", "b"], Counts(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))


@pytest.fixture
def uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], tuple[list[str], dict[str, str]]]:
    """Stands in for uv itself; returns what it was last called with: arguments, and its environment."""
    program = tmp_path / "uv"
    program.write_text(
        f"#!/bin/sh\nprintf '%s\\n' \"$@\" >'{tmp_path}/arguments'; env >'{tmp_path}/environment'\n"
        "echo shown; echo ' no wheel ' >&2; exit ${UV_ENDS-0}\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(staging, "find_uv_bin", lambda: str(program))

    def called() -> tuple[list[str], dict[str, str]]:
        lines = (tmp_path / "environment").read_text().splitlines()
        return (tmp_path / "arguments").read_text().splitlines(), dict(
            line.split("=", 1) for line in lines if "=" in line
        )

    return called


def test_how_uv_lays_down(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    uv: Callable[[], tuple[list[str], dict[str, str]]],
    capfd: pytest.CaptureFixture[str],
) -> None:
    loaded = profiles.load("ml-m1")
    mac = replace(loaded.platform("darwin-arm64"), macos_deployment_target="14.0")
    monkeypatch.setenv("KEPT", "1")
    monkeypatch.delenv("UV_CACHE_DIR", raising=False)
    monkeypatch.delenv("MACOSX_DEPLOYMENT_TARGET", raising=False)
    always = ["pip", "install", "--quiet", "--no-config", "--only-binary", ":all:"]
    always += ["--link-mode", "hardlink", "--python", sys.executable]
    always += ["--python-version", "3.11.99", "--python-platform", mac.uv_platform, "--target", str(tmp_path / "x")]

    staging.lay_down_lock(loaded, mac, tmp_path / "x", "26.0")
    arguments, environment = uv()
    lock = str(loaded.directory / "darwin-arm64.lock")
    assert arguments == [*always, "--require-hashes", "--no-deps", "-r", lock]
    assert environment["MACOSX_DEPLOYMENT_TARGET"] == "26.0"
    assert (environment["KEPT"], environment.get("UV_CACHE_DIR")) == ("1", None)

    pins, cache = ["a==1", "b==2"], tmp_path / "cache"
    staging.lay_down(pins, "3.11", mac, tmp_path / "x", until="2026-11-01", cache=cache)
    arguments, environment = uv()
    assert arguments == [*always, "--exclude-newer", "2026-11-01T00:00:00Z", *pins]
    assert (environment["UV_CACHE_DIR"], environment["MACOSX_DEPLOYMENT_TARGET"]) == (str(cache), "14.0")

    linux = loaded.platform("linux-x86_64")
    staging.lay_down_alone(pins, "3.12", linux, tmp_path / "x", cache=cache)
    arguments, environment = uv()
    assert arguments[10:14] == ["--python-version", "3.12.99", "--python-platform", linux.uv_platform]
    assert arguments[-3:] == ["--no-deps", *pins]
    assert (environment["UV_CACHE_DIR"], environment.get("MACOSX_DEPLOYMENT_TARGET")) == (str(cache), None)
    assert capfd.readouterr() == ("", "")


def test_what_uv_says_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uv: Callable[[], tuple[list[str], dict[str, str]]]
) -> None:
    monkeypatch.setenv("UV_ENDS", "1")
    loaded = profiles.load("ml-m1")
    with pytest.raises(UserError) as caught:
        staging.lay_down_lock(loaded, loaded.platform("darwin-arm64"), tmp_path / "x", "14.4")
    assert str(caught.value) == "uv could not lay the packages down for darwin-arm64:\nno wheel"
    assert uv()[0]


MATRICES = {
    "matrices": [
        {
            "title": "One",
            "about": "About it.\n",
            "packages": {"one": ["1", "2"], "refused": ["1", "2"]},
            "reports": [{"versions": {"one": "2"}, "loads": True, "said": "works", "link": "#1"}],
        },
        {"title": "Two", "packages": {"one": ["3"]}},
    ]
}


def test_compat_writes_the_document(
    monkeypatch: pytest.MonkeyPatch,
    good: Callable[[Path], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    uv = use(monkeypatch, good)
    (tmp_path / "matrices.yml").write_text(yaml.safe_dump(MATRICES, sort_keys=False))
    monkeypatch.setattr(compat, "MATRICES", tmp_path / "matrices.yml")
    monkeypatch.setattr(compat, "ROOT", tmp_path)
    monkeypatch.setattr(compat, "DOCUMENT", tmp_path / "page.md")
    assert compat.main(["--json", str(tmp_path / "rows.json")]) == 0
    shown = capsys.readouterr()
    assert (shown.out, shown.err.splitlines()[-1]) == ("", "linkcheck: page.md is written")
    assert "linkcheck: checking one==1 refused==2\n" in shown.err
    text = (tmp_path / "page.md").read_text()
    today, until = datetime.now(UTC).date().isoformat(), profiles.load("ml-m1").locked_on
    assert text.endswith(
        f"""
## One

About it.

Checked on {today} for CPython 3.11, in the wheels that macOS 14.4 takes, with uploads up to {until}.

| one | refused | loads | declared | why |
|---|---|---|---|---|
| 1 | 1 | yes | no | every symbol resolves |
| 1 | 2 | yes | yes | every symbol resolves |
| 2 | 1 | yes | no | every symbol resolves |
| 2 | 2 | yes | yes | every symbol resolves |

Reports from users' Macs:

- one 2: works (#1): the check agrees.

## Two

Checked on {today} for CPython 3.11, in the wheels that macOS 14.4 takes, with uploads up to {until}.

| one | loads | declared | why |
|---|---|---|---|
| 3 | yes | yes | every symbol resolves |
"""
    )
    rows = (tmp_path / "rows.json").read_text()
    assert rows.startswith("[\n {\n")
    assert rows.endswith("]\n")
    assert [(one["versions"], one["declared"]) for one in json.loads(rows)][3:] == [
        ({"one": "2", "refused": "2"}, True),
        ({"one": "3"}, True),
    ]
    caches = [how["cache"] for _, how in uv.asked]
    assert [caches.index(one) for one in caches] == [0, 0, 2, 2, 4]  # one for each version of the first package
    assert all(one.parent.name.startswith("metal-lab-compat-") and not one.parent.exists() for one in caches)
    assert [how.get("until") for _, how in uv.asked] == [None, profiles.load("ml-m1").locked_on] * 2 + [
        profiles.load("ml-m1").locked_on
    ]
    assert [(one.name, one.parent.name[:5], one.parents[1] / "uv") for one in uv.folders] == [
        (name, "tree-", cache)
        for name, cache in zip(["alone", "resolved", "alone", "resolved", "resolved"], caches, strict=True)
    ]


def test_compat_looks_at_neither_hashes_nor_what_does_not_concern_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fill(folder: Path) -> None:
        (folder / "one").mkdir(parents=True)
        (folder / "one" / "__init__.py").write_text("")
        install(folder, "one", files=("one/__init__.py",), requires=("two>=2", "three"), tag="py2-none-any")
        install(folder, "two")
        (folder / "one" / "__init__.py").write_text("#")

    def read(*_: object) -> None:
        pytest.fail("files of 8 GB would be read for nothing")

    monkeypatch.setattr(packages, "check_files", read)
    use(monkeypatch, fill)
    assert compat.main(["--package", "one=1", "--package", "two=1", "--json", str(tmp_path / "rows.json")]) == 1
    (row,) = json.loads((tmp_path / "rows.json").read_text())
    assert [(one["kind"], one["subject"]) for one in row["findings"]] == [
        ("wheel-tag", "one"),
        ("requirement", "one>two"),
    ]
    assert "| 1 | 1 | no | yes | one 1.0 is a wheel for py2-none-any" in capsys.readouterr().out


def test_compat_says_where_there_are_two_runtimes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """That the packages load is true all the same."""

    def fill(folder: Path) -> None:
        for name in ("one", "two"):
            write(folder / name / "libomp.dylib", exports=("___kmpc_fork_call",))
            install(folder, name, files=(f"{name}/libomp.dylib",))

    use(monkeypatch, fill)
    assert compat.main(["--package", "one=1", "--package", "two=1"]) == 0
    assert "| 1 | 1 | yes | yes | duplicate-runtime:openmp: 2 copies, if what loads" in capsys.readouterr().out


def test_compat_renews_one_section(
    monkeypatch: pytest.MonkeyPatch, good: Callable[[Path], None], tmp_path: Path
) -> None:
    """Others stay, in the order of matrices.yml; those that are there no more go."""
    use(monkeypatch, good)
    (tmp_path / "matrices.yml").write_text(yaml.safe_dump(MATRICES, sort_keys=False))
    for name, value in (("MATRICES", "matrices.yml"), ("DOCUMENT", "page.md")):
        monkeypatch.setattr(compat, name, tmp_path / value)
    monkeypatch.setattr(compat, "ROOT", tmp_path)
    (tmp_path / "page.md").write_text("# Old\n\n## Gone\n\nx\n\n## Two\n\nkept\n\n")
    assert compat.main(["--matrix", "One"]) == 0
    text = (tmp_path / "page.md").read_text()
    assert text.startswith("# Which versions load together\n")
    assert text.endswith("- one 2: works (#1): the check agrees.\n\n## Two\n\nkept\n")
    assert "## Gone" not in text
    with pytest.raises(UserError, match=r"matrices\.yml has no matrix 'Three'\. It has: One, Two\."):
        compat.main(["--matrix", "Three"])


def row(*findings: Finding, notes: tuple[str, ...] = ()) -> document.Row:
    return document.Row({"a": "1|2"}, True, findings, notes)


@pytest.mark.parametrize(
    ("given", "loads", "why"),
    [
        (row(), "yes", "every symbol resolves"),
        (row(notes=("PJRT 0.47.", "PJRT 0.48.")), "yes", "PJRT 0.47; PJRT 0.48"),
        (row(Finding("requirement", "a>b", "a needs b."), notes=("PJRT.",)), "yes", "a needs b"),
        (row(Finding("damaged", "x", "Bad."), Finding("no-arm64", "y", "None.")), "no", "Bad; None"),
        (row(Finding("plugin-entry", "x", "No entry.", ("a", "b"))), "no", "a → b: No entry"),
        (
            row(
                Finding("missing-symbol", "x", "", ("a", "b"), ("_t", "_s")),
                Finding("missing-dependency", "x>@rpath/y", "", ("a", "b"), ("_s",)),
                Finding("missing-dependency", "x>z", "", ("a", "b")),
                Finding("missing-symbol", "x", "", ("c",), ("_u",)),
                Finding("too-new", "x", "New."),
            ),
            "no",
            "New; a → b: `@rpath/y`, `z` not found; missing `_s` and 1 more, 2 in all; c: missing `_u`",
        ),
    ],
)
def test_why_a_choice_loads_or_not(given: document.Row, loads: str, why: str) -> None:
    assert document.table([given]).splitlines() == [
        "| a | loads | declared | why |",
        "|---|---|---|---|",
        f"| 1&#124;2 | {loads} | yes | {why} |",
    ]


@pytest.mark.parametrize(
    ("finding", "expected"),
    [
        (Finding("requirement", "a>b", ""), True),
        (Finding("requirement", "a>c", ""), False),
        (Finding("requirement", "c>a", ""), False),
        (Finding("missing-symbol", "anything", ""), True),
        (Finding("record", "a", ""), False),
    ],
)
def test_what_concerns_a_choice(finding: Finding, expected: bool) -> None:
    assert document.concerns(finding, {"a", "b"}) is expected
