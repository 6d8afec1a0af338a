"""Packages of anybody's: requirements, locks and environments, and the result as SARIF."""

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from uv import find_uv_bin

from verify.errors import UserError
from verify.linkcheck import command, report, sarif, sources, staging
from verify.linkcheck.findings import Counts, Finding
from verify.linkcheck.packages import Target
from verify.profile import model as profiles
from verify.profile.model import AcceptedFinding

from .machos import built_for, install, metallib, write

MAC14, MAC15 = Target("3.11", (14, 0, 0), False), Target("3.11", (15, 0, 0), False)
TAGS = (
    "py3-none-any",
    "cp311-cp311-macosx_14_0_arm64",
    "cp311-cp311-macosx_15_0_arm64",
    "cp312-cp312-macosx_14_0_arm64",
)


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An index of two packages: one for each of some tags, which needs the other."""
    for name, tags, needs in (("one", TAGS, "two"), ("two", TAGS[:1], None)):
        folder = tmp_path / "index" / name
        folder.mkdir(parents=True)
        anchors = ""
        for tag in tags:
            file = f"{name}-1.0-{tag}.whl"
            write_wheel(folder / file, name, tag, needs)
            digest = hashlib.sha256((folder / file).read_bytes()).hexdigest()
            anchors += f'<a href="{file}#sha256={digest}">{file}</a>'
        (folder / "index.html").write_text(anchors)
    monkeypatch.setenv("UV_DEFAULT_INDEX", (tmp_path / "index").as_uri())
    return tmp_path / "index"


def write_wheel(path: Path, name: str, tag: str, needs: str | None) -> None:
    """A wheel with one module, which says its tag."""
    info = f"{name}-1.0.dist-info"
    requires = f"Requires-Dist: {needs}\n" if needs else ""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", tag)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{requires}")
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n")
        archive.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")


def digest_of(index: Path, tag: str) -> str:
    return hashlib.sha256((index / "one" / f"one-1.0-{tag}.whl").read_bytes()).hexdigest()


def laid(file: Path, target: Target, folder: Path) -> dict[str, str]:
    """What lies in a folder after laying a file down: module and tag."""
    staging.lay_down_file(file, target, folder)
    return {path.stem: path.read_text() for path in folder.glob("*.py")}


def test_requirements(index: Path, tmp_path: Path) -> None:
    """With what they need, as each macOS takes it; hashes hold."""
    file = tmp_path / "requirements.txt"
    file.write_text("one\n")
    assert laid(file, MAC14, tmp_path / "14") == {"one": TAGS[1], "two": TAGS[0]}
    assert laid(file, MAC15, tmp_path / "15") == {"one": TAGS[2], "two": TAGS[0]}
    file.write_text(f"one==1.0 --hash=sha256:{digest_of(index, TAGS[0])}\ntwo==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(UserError, match="uv could not lay the packages down"):
        staging.lay_down_file(file, MAC14, tmp_path / "refused")


def pylock(index: Path, *more: str, requires: str = ">=3.11") -> str:
    lines = ['lock-version = "1.0"', 'created-by = "test"', f'requires-python = "{requires}"', "[[packages]]"]
    lines += ['name = "one"', 'version = "1.0"', "wheels = ["]
    for tag in TAGS[1:]:
        file = f"one-1.0-{tag}.whl"
        place = f'path = "index/one/{file}"' if tag == TAGS[1] else f'url = "{(index / "one" / file).as_uri()}"'
        lines.append(f'  {{name = "{file}", {place}, hashes = {{sha256 = "{digest_of(index, tag)}"}}}},')
    return "\n".join([*lines, "]", *more, ""])


def test_a_standard_lock(index: Path, tmp_path: Path) -> None:
    """Its wheels by path or address, nothing that it does not name, and only what is for a Mac."""
    file = tmp_path / "pylock.toml"
    other = [
        "[[packages]]",
        'name = "gone"',
        'version = "1"',
        "marker = \"sys_platform == 'linux'\"",
        "[[packages.wheels]]",
        'url = "https://x/gone-1-py3-none-any.whl"',
        'hashes = {sha256 = "0"}',
    ]
    file.write_text(pylock(index, *other))
    assert laid(file, MAC14, tmp_path / "14") == {"one": TAGS[1]}
    assert laid(file, MAC15, tmp_path / "15") == {"one": TAGS[2]}
    assert laid(file, replace(MAC15, python="3.12"), tmp_path / "12") == {"one": TAGS[3]}
    file.write_text(file.read_text().replace(digest_of(index, TAGS[1]), "0" * 64))
    with pytest.raises(UserError, match="uv could not lay the packages down"):
        staging.lay_down_file(file, MAC14, tmp_path / "refused")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("1.0", "x"), "cannot be used"),
        (("lock-version", "lock"), "cannot be used"),
        ((">=3.11", ">=3.13"), "cannot be used: .*3.13"),
        (("_arm64", "_x86_64"), "cannot be used|no wheel of one"),
        (("sha256 =", "sha512 ="), "no wheel of one for Python 3.11"),
    ],
)
def test_a_lock_that_cannot_be_used(index: Path, tmp_path: Path, change: tuple[str, str], said: str) -> None:
    file = tmp_path / "pylock.toml"
    file.write_text(pylock(index).replace(*change))
    with pytest.raises(UserError, match=said):
        staging.lay_down_file(file, MAC14, tmp_path / "14")


@pytest.mark.usefixtures("index")
def test_a_project_of_uv(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        '[project]\nname = "demo"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["one"]\n'
    )
    lock = [find_uv_bin(), "lock", "--quiet", "--no-config", "--project", str(project), "--python", sys.executable]
    subprocess.run(lock, check=True, env=dict(os.environ))
    before = (project / "uv.lock").read_bytes()
    assert laid(project / "uv.lock", MAC15, tmp_path / "15") == {"one": TAGS[2], "two": TAGS[0]}
    assert laid(project / "uv.lock", replace(MAC14, python="3.12"), tmp_path / "12") == {"one": TAGS[3], "two": TAGS[0]}
    assert (project / "uv.lock").read_bytes() == before
    (project / "uv.lock").write_text("nonsense")
    with pytest.raises(UserError, match=r"uv could not read .*uv\.lock"):
        staging.lay_down_file(project / "uv.lock", MAC15, tmp_path / "none")


def fill(_file: Path, target: Target, folder: Path, *_: object) -> dict[str, str]:
    built = 26 << 16 | 2 << 8 if target.floor[0] == 26 else 14 << 16
    write(folder / "one.dylib", built_for(minos=built))
    install(folder, "one", files=("one.dylib",), tag="py3-none-macosx_14_0_arm64")
    return {}


def test_the_command_with_requirements(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(staging, "lay_down_file", fill)
    file, result = tmp_path / "requirements.txt", tmp_path / "result.sarif"
    file.write_text("# comment\none==1.0 \\\n    --hash=…\n")
    arguments = ["--requirements", str(file), "--python", "3.12", "--macos", "26,14.4", "--sarif", str(result)]
    assert command.main(arguments) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "requirements.txt on darwin-arm64, Python 3.12, macOS 14.4 to 14.x and 26: 1 finding(s)" in shown
    (run,) = json.loads(result.read_text())["runs"]
    (found,) = run["results"]
    assert run["tool"]["driver"]["rules"] == [{"id": "too-new"}]
    assert (found["ruleId"], found["level"]) == ("too-new", "error")
    assert "On macOS 26.0 and 26.1." in found["message"]["text"]
    assert found["partialFingerprints"] == {"finding/v1": "too-new:one.dylib"}
    (place,) = found["locations"]
    assert place["physicalLocation"]["region"] == {"startLine": 2}
    assert place["physicalLocation"]["artifactLocation"]["uri"] == file.as_uri()
    assert command.main([*arguments[:4], "--macos", "14,15"]) == 0
    assert not list((tmp_path / "cache" / "metal-lab" / "linkcheck").iterdir())  # nothing is kept


def test_every_macos_from_14_on_is_asked_about_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Target] = []

    def filling(file: Path, target: Target, folder: Path, *_: object) -> dict[str, str]:
        asked.append(target)
        return fill(file, target, folder)

    monkeypatch.setattr(staging, "lay_down_file", filling)
    monkeypatch.setenv("ENABLE_PJRT_COMPATIBILITY", "1")
    (tmp_path / "r.txt").write_text("one")
    command.main(["--requirements", str(tmp_path / "r.txt")])
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert asked == [Target(own, (one, 0, 0), pjrt_compatibility=True) for one in (14, 15, 26, 27)]
    with pytest.raises(UserError, match="There is no file"):
        command.main(["--requirements", str(tmp_path / "none.txt")])


def test_an_environment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By its folder or that of its packages; what lies beside packages is not judged, and nothing is changed."""
    site = tmp_path / "env" / "lib" / "python3.12" / "site-packages"
    (site / "__pycache__").mkdir(parents=True)
    (site / "__pycache__" / "one.pyc").write_text("")
    (site / "gpu.metallib").write_bytes(metallib())
    install(
        site, "one", files=("gpu.metallib",), tag="cp312-cp312-macosx_15_0_arm64", extra_rows=("../../../bin/one,,",)
    )
    before = sorted(tmp_path.rglob("*"))
    for folder in (tmp_path / "env", site):
        python = [] if folder != site else ["--python", "3.12"]
        assert command.main(["--environment", str(folder), "--macos", "15,26", *python]) == 0
        assert "Python 3.12, macOS 15 to 26" in " ".join(capsys.readouterr().out.split())
    assert command.main(["--environment", str(site), "--macos", "14,15", "--python", "3.12"]) == 1
    assert "wheel-tag:one (macOS 14)" in capsys.readouterr().out
    assert command.main(["--environment", str(site), "--macos", "15", "--python", "3.11"]) == 1
    capsys.readouterr()
    assert [one for one in sorted(tmp_path.rglob("*")) if "cache" not in one.parts] == before
    with pytest.raises(UserError, match="There are no packages in"):
        command.main(["--environment", str(tmp_path)])


@pytest.mark.parametrize(
    "arguments",
    [
        ["--macos", "15"],
        ["--python", "3.12"],
        ["--requirements", "x", "--environment", "y"],
        ["--requirements", "x", "--macos", "new"],
        ["--requirements", "x", "--macos", ""],
        ["--requirements", "x", "--python", "3.12.1"],
        ["--requirements", "x", "--python", "new"],
    ],
)
def test_what_does_not_go_together(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err


REPORT = report.Report(
    "x", "darwin-arm64", "3.11", ("14.4",), (report.Choice(("14.4",), (), Counts()),), None, "", 0, 0, (), ()
)


def result_of(finding: Finding, lock: Path | None) -> dict[str, object]:
    (run,) = sarif.document(replace(REPORT, findings=(finding,)), lock)["runs"]
    (found,) = run["results"]
    return found  # type: ignore[no-any-return]


def test_what_is_accepted_is_suppressed() -> None:
    known = AcceptedFinding("record:one", "Because.", "here")
    finding = Finding("record", "one", "Lies.", ("import one", "one.so"), accepted=known, releases=("14.4",))
    assert result_of(finding, None) == {
        "ruleId": "record",
        "level": "warning",
        "message": {"text": "one: Lies. On macOS 14.4 to 14.x. import one → one.so."},
        "partialFingerprints": {"finding/v1": "record:one"},
        "suppressions": [{"kind": "external", "justification": "Because."}],
    }


@pytest.mark.parametrize(
    ("text", "package", "line"),
    [
        ("a==1\nmlx-metal==1\nmlx==1\n", "mlx", 3),
        ("a==1\nMLX_Metal==1\n", "mlx-metal", 2),
        ('[[package]]\nname = "mlx-metal"\n', "mlx-metal", 2),
        ("a==1\nmlx.core==1\nmlx\n", "mlx", 3),
        ("a==1\n", "mlx", 1),
        ("a==1\nb==1\n", None, 1),
    ],
)
def test_on_which_line_a_package_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, package: str | None, line: int
) -> None:
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "x.lock").write_bytes(text.encode() + b"\xff")  # whatever else stands there
    monkeypatch.chdir(tmp_path)
    finding = Finding("record", "x", "Lies.", releases=("14.4",), package=package)
    assert result_of(finding, tmp_path / "locks" / "x.lock")["locations"] == [
        {"physicalLocation": {"artifactLocation": {"uri": "locks/x.lock"}, "region": {"startLine": line}}}
    ]


def test_a_profiles_findings_are_bound_to_its_lock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def lay(_profile: object, _platform: object, folder: Path, _macos: str) -> None:
        fill(folder, MAC14, folder)

    monkeypatch.setattr(staging, "lay_down_lock", lay)
    assert command.main(["--sarif", str(tmp_path / "x.sarif")]) == 1  # what is accepted is no longer found
    (run,) = json.loads((tmp_path / "x.sarif").read_text())["runs"]
    uris = {one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for one in run["results"]}
    assert {uri.rpartition("/")[2] for uri in uris} == {profiles.load("ml-m1").lock_path("darwin-arm64").name}


def read(tmp_path: Path, text: str, **without: str) -> sources.Requirements:
    (tmp_path / "requirements.txt").write_text(text)
    return sources.read(tmp_path / "requirements.txt", MAC14, without)


@pytest.mark.parametrize(
    "line",
    [
        "one",
        "one[extra1,extra2]>=1,<2",
        "one==1 --hash=sha256:0 --hash=sha256:1",
        "one; sys_platform == 'darwin' and python_version < '3.12'",
        "one @ https://x/one-1-py3-none-any.whl",
        "https://x/one-1-py3-none-any.whl",
        "--index-url https://user:word@x/simple",
        "-i https://x/simple",
        "--pre",
        "--find-links https://x/wheels",
        "-c https://x/constraints.txt",
        "what is this?",  # which uv tells
        "one-two three",
    ],
)
def test_what_is_given_to_uv(tmp_path: Path, line: str) -> None:
    assert read(tmp_path, f"\n# comment\n{line}  # why\n") == sources.Requirements([line])


@pytest.mark.parametrize(
    ("line", "left_out"),
    [
        ("-e .", {".": ". is a project that is worked on"}),
        ("--editable=git+https://x/one", {"git+https://x/one": "git+https://x/one is a project that is worked on"}),
        ("-e ./a ; sys_platform == 'darwin'", {"./a": "./a is a project that is worked on"}),
        ("-e ./a ; sys_platform == 'linux'", {}),
        (
            "My_One @ git+https://me:word@x/one@v1",
            {"my-one": "My_One comes from git+https://x/one@v1, which is a repository"},
        ),
        ("one @ https://x/one-1.tar.gz", {"one": "one comes from https://x/one-1.tar.gz, which is no wheel"}),
        ("git+ssh://git@x/one.git", {"git+ssh://x/one.git": "git+ssh://x/one.git is a repository"}),
        ("git+https://me:w@rd@x/one", {"git+https://x/one": "git+https://x/one is a repository"}),
        ("./local", {"./local": "./local is no wheel"}),
        ("here", {"here": "here is no wheel"}),
        ("one @ git+https://x/one ; sys_platform == 'linux'", {}),
        ("gone>=2", {"gone": "not wanted"}),
        ("Gone @ git+https://x/gone", {"gone": "Gone comes from git+https://x/gone, which is a repository"}),
        ("one; sys_platform == 'linux'", {}),
    ],
)
def test_what_cannot_be_looked_at(tmp_path: Path, line: str, left_out: dict[str, str]) -> None:
    (tmp_path / "here").mkdir()
    expected = sources.Requirements([], left_out, {"gone": "not wanted"})
    if line == "here":  # a name as well: of a package on the index
        expected = sources.Requirements(["here"], {}, {"gone": "not wanted"})
    assert read(tmp_path, line, gone="not wanted") == expected


def test_files_within_files(tmp_path: Path) -> None:
    """Relative to the file that names them, each once, in circles too."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/more.txt").write_text(
        "-r ../requirements.txt\n-r more.txt\n--constraint=c.txt\ntwo \\\n  ==2\n-f wheels\n"
    )
    (tmp_path / "sub/a.whl").write_text("")
    (tmp_path / "sub/more.txt").open("a").write("./a.whl\n")
    found = read(tmp_path, "one\n-r sub/more.txt\n--requirement sub/more.txt\n")
    sub = tmp_path / "sub"
    assert found.lines == ["one", f"--constraint {sub}/c.txt", "two    ==2", f"-f {sub}/wheels", f"{sub}/a.whl"]


def test_files_without_end(tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / f"{number}.txt").write_text(f"-r {number + 1}.txt\n")
    with pytest.raises(UserError, match="more than 100 files"):
        read(tmp_path, "-r 0.txt\n")
    with pytest.raises(UserError, match=r"gone\.txt cannot be read"):
        read(tmp_path, "-r gone.txt\n")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\0")
    with pytest.raises(UserError, match=r"binary\.txt cannot be read"):
        read(tmp_path, "-r binary.txt\n")


@pytest.mark.usefixtures("index")
def test_the_rest_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be looked at is said, and that it is not there is no finding; nor is what is not wanted."""
    file = tmp_path / "requirements.txt"
    file.write_text("one\ntwo @ git+https://x/two\n-e .\n")
    assert command.main(["--requirements", str(file), "--python", "3.11", "--macos", "14", "--without", "two"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Not looked at, nor what it alone needs: two comes from git+https://x/two, which is a repository." in shown
    assert "Not looked at, nor what it alone needs: . is a project that is worked on." in shown
    file.write_text("one\n")
    assert command.main(["--requirements", str(file), "--python", "3.11", "--macos", "14", "--without", "Two"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Not looked at, nor what it alone needs: Two is left out, as asked." in shown
    assert "1 packages" in shown


UV_LOCK = """\
version = 1
revision = 3
requires-python = ">=3.11"

[[package]]
name = "demo"
version = "1"
source = {{ virtual = "." }}
dependencies = [{{ name = "one" }}, {{ name = "source-only" }}]

[package.optional-dependencies]
more = [{{ name = "two" }}]

[package.metadata]
requires-dist = [{{ name = "one" }}, {{ name = "source-only" }}, {{ name = "two", marker = "extra == 'more'" }}]
provides-extras = ["more"]

[[package]]
name = "one"
version = "1.0"
source = {{ registry = "{index}" }}
wheels = [{{ url = "{one}", hash = "sha256:{digest}" }}]

[[package]]
name = "two"
version = "1.0"
source = {{ registry = "{index}" }}
wheels = [{{ url = "{two}", hash = "sha256:{second}" }}]

[[package]]
name = "source-only"
version = "1"
source = {{ registry = "{index}" }}
sdist = {{ url = "{index}/source-only-1.tar.gz", hash = "sha256:{digest}" }}
"""


def test_a_lock_of_uv_without_its_project(index: Path, tmp_path: Path) -> None:
    """With an extra; what has no wheel is left out."""
    places = [index / name / f"{name}-1.0-{tag}.whl" for name, tag in (("one", TAGS[1]), ("two", TAGS[0]))]
    one, two = places
    digests = [hashlib.sha256(place.read_bytes()).hexdigest() for place in places]
    values = {"index": index.as_uri(), "one": one.as_uri(), "two": two.as_uri()}
    file = tmp_path / "alone" / "uv.lock"
    file.parent.mkdir()
    file.write_text(UV_LOCK.format(**values, digest=digests[0], second=digests[1]))
    said = {"source-only": "source-only has no wheel for Python 3.11 on macOS 14.0"}
    assert staging.lay_down_file(file, MAC14, tmp_path / "14") == said
    assert {path.stem for path in (tmp_path / "14").glob("*.py")} == {"one"}
    assert staging.lay_down_file(file, MAC14, tmp_path / "more", ["more"]) == said
    assert {path.stem for path in (tmp_path / "more").glob("*.py")} == {"one", "two"}
    assert [path.name for path in file.parent.iterdir()] == ["uv.lock"]
    python = replace(MAC14, python="3.12")
    assert (
        staging.lay_down_file(file, python, tmp_path / "12")["one"] == "one has no wheel for Python 3.12 on macOS 14.0"
    )
    for text in ("version = 1", "nonsense", '[[package]]\nname = "x"\nsource = "y"\n'):
        file.write_text(text)
        with pytest.raises(UserError, match="no lock of a project, as uv writes it"):
            staging.lay_down_file(file, MAC14, tmp_path / "none")
