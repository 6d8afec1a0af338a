"""Packages of anybody's: requirements, locks and environments, and the result as SARIF."""

import hashlib
import json
import os
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.utils import parse_wheel_filename
from uv import find_uv_bin

from verify.errors import UserError
from verify.linkcheck import command, macho, report, sarif, sources, staging
from verify.linkcheck.findings import Counts, Finding
from verify.linkcheck.packages import Target
from verify.profile import model as profiles
from verify.profile.model import AcceptedFinding

from .machos import PYTHON_TAG, built_for, install, metallib, write

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
        (("sha256 =", "sha512 ="), "uv could not lay the packages down"),
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


def test_nothing_is_built(index: Path, tmp_path: Path) -> None:
    """Whatever a requirements file asks of uv, and whatever stands in a lock's addresses."""
    assert read(tmp_path, "--no-binary one\n--no-binary=:all:\n--only-binary one\none\n").lines == ["one"]
    place = f"{(index / 'one').as_uri()}/one-1.0-py3-none-any.whl --hash=sha256:0\\n--no-binary two\\ntwo # .whl"
    file = tmp_path / "pylock.toml"
    file.write_text(pylock(index).replace((index / "one" / f"one-1.0-{TAGS[2]}.whl").as_uri(), place))
    with pytest.raises(UserError, match="no address or no hash"):
        staging.lay_down_file(file, MAC15, tmp_path / "15")


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("# one \\\ntwo\n", ["two"]),
        ("./a.whl ; sys_platform == 'linux'\n", []),
        ("./a.whl --hash=sha256:0\n", ["{0}/a.whl --hash=sha256:0"]),
        ("./a.whl[x]\n", ["{0}/a.whl[x]"]),
        ("https://x/a.whl --hash=sha256:0\n", ["https://x/a.whl --hash=sha256:0"]),
        ('-c "c.txt"\n', ["-c {0}/c.txt"]),
        ("-f ${{HERE}}/w\n", ["-f {0}/w"]),
    ],
)
def test_lines_as_pip_reads_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, lines: list[str]) -> None:
    monkeypatch.setenv("HERE", str(tmp_path))
    assert read(tmp_path, text.replace("{{", "{").replace("}}", "}")).lines == [one.format(tmp_path) for one in lines]


@pytest.mark.parametrize(
    "text", ["-e ./a ; x", "http://[a", "{" + "a" * 300, "-r /dev/zero", "-r https://x/y", "-r a\0b"]
)
def test_what_is_no_requirements_file(tmp_path: Path, text: str) -> None:
    try:
        read(tmp_path, text)
    except UserError:
        return
    assert text.startswith("{")  # which uv tells


def test_text_of_windows(tmp_path: Path) -> None:
    """UTF-16 with its mark, either way round, as pip reads it."""
    for order in ("utf-16-le", "utf-16-be"):
        (tmp_path / "requirements.txt").write_bytes("\ufeffone\r\ntwo\r\n".encode(order))
        assert sources.read(tmp_path / "requirements.txt", MAC14, {}).lines == ["one", "two"]


def test_what_comes_from_a_repository_is_not_taken_from_the_index(index: Path, tmp_path: Path) -> None:
    """There may be another package of that name."""
    file = tmp_path / "requirements.txt"
    file.write_text("one\ntwo @ git+https://x/two\n")
    assert (index / "two").is_dir()
    assert staging.lay_down_file(file, MAC14, tmp_path / "14") == {
        "two": "two comes from git+https://x/two, which is a repository"
    }
    assert {path.stem for path in (tmp_path / "14").glob("*.py")} == {"one"}


@pytest.mark.parametrize(
    ("marker", "there"), [("python_full_version >= '3.11.4'", True), ("python_full_version < '3.11.4'", False)]
)
def test_markers_are_those_of_the_newest_release(index: Path, tmp_path: Path, marker: str, there: bool) -> None:
    """In a requirements file, in what a wheel needs, and in a lock."""
    file, lock = tmp_path / "requirements.txt", tmp_path / "pylock.toml"
    file.write_text(f"two; {marker}\n")
    assert laid(file, MAC14, tmp_path / "own") == ({"two": TAGS[0]} if there else {})
    write_wheel(index / "one" / f"one-1.0-{TAGS[1]}.whl", "one", TAGS[1], f"two; {marker}")
    lines = f"one @ {(index / 'one' / f'one-1.0-{TAGS[1]}.whl').as_uri()}\n"
    file.write_text(lines)
    assert laid(file, MAC14, tmp_path / "needed").keys() == ({"one", "two"} if there else {"one"})
    lock.write_text(pylock(index).replace('version = "1.0"\nwheels', f'version = "1.0"\nmarker = "{marker}"\nwheels'))
    assert laid(lock, MAC14, tmp_path / "locked").keys() == ({"one"} if there else set())


def locked(name: str, version: str, source: str, *wheels: Path, needs: str = "") -> str:
    """A package of a uv.lock; without wheels one that has its source only."""
    lines = ["[[package]]", f'name = "{name}"', f'version = "{version}"', f"source = {{ {source} }}"]
    if needs:
        lines.append(f"dependencies = [{needs}]")
    for wheel in wheels:
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest() if wheel.exists() else "0" * 64
        lines.append(f'wheels = [{{ url = "{wheel.as_uri()}", hash = "sha256:{digest}" }}]')
    if not wheels and "registry" in source:
        lines.append(f'sdist = {{ url = "https://x/{name}-{version}.tar.gz", hash = "sha256:{"0" * 64}" }}')
    return "\n".join([*lines, ""])


def uv_lock(folder: Path, *packages: str, requires: str = ">=3.11", needs: str = '{ name = "one" }') -> Path:
    """A uv.lock of a project that needs package one."""
    file = folder / "uv.lock"
    file.write_text(
        "\n".join(
            [
                f'version = 1\nrevision = 3\nrequires-python = "{requires}"\n',
                locked("demo", "1", 'virtual = "."', needs=needs),
                *packages,
            ]
        )
    )
    return file


def test_a_lock_of_uv_for_a_newer_python(index: Path, tmp_path: Path) -> None:
    wheel = index / "one" / f"one-1.0-{TAGS[1]}.whl"
    one = locked("one", "1.0", f'registry = "{index.as_uri()}"', wheel)
    file = uv_lock(tmp_path, one, requires=">=3.12")
    with pytest.raises(UserError, match=r"is for Python >=3\.12, not for 3\.11\. Say which with --python"):
        staging.lay_down_file(file, MAC14, tmp_path / "14")
    file = uv_lock(tmp_path, one, requires=">=3.11.4")  # which the newest 3.11 is
    assert laid(file, MAC14, tmp_path / "11") == {"one": TAGS[1]}


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """An index with other wheels of the same names and versions."""
    for name, tag in (("one", TAGS[1]), ("two", TAGS[0])):
        folder, file = tmp_path / "other" / name, f"{name}-1.0-{tag}.whl"
        folder.mkdir(parents=True)
        write_wheel(folder / file, name, "another", None)
        digest = hashlib.sha256((folder / file).read_bytes()).hexdigest()
        (folder / "index.html").write_text(f'<a href="{file}#sha256={digest}">{file}</a>')
    (tmp_path / "empty").mkdir()
    return tmp_path / "other"


@pytest.mark.parametrize("registry", ["{address}", "index"])
@pytest.mark.parametrize("default", ["other", "empty"])
def test_a_lock_of_uv_with_indexes_of_its_own(
    index: Path, other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: str, default: str
) -> None:
    """Each package comes from its own, whatever others have under that name; one may be a folder beside the lock."""
    source = f'registry = "{registry.format(address=index.as_uri())}"'
    one = locked("one", "1.0", source, index / "one" / f"one-1.0-{TAGS[1]}.whl")
    two = locked("two", "1.0", f'registry = "{other.as_uri()}"', other / "two" / f"two-1.0-{TAGS[0]}.whl")
    monkeypatch.setenv("UV_DEFAULT_INDEX", (tmp_path / default).as_uri())
    file = uv_lock(tmp_path, two, one, needs='{ name = "one" }, { name = "two" }')
    assert laid(file, MAC14, tmp_path / "14") == {"one": TAGS[1], "two": "another"}


def test_one_version_of_two_indexes(index: Path, other: Path, tmp_path: Path) -> None:
    """One is for another system; the Mac's comes from the mirror that is set up here."""
    gone, elsewhere = 'registry = "https://127.0.0.1:9/simple"', f'registry = "{other.as_uri()}"'
    sources_of = ((gone, "sys_platform == 'darwin'", index), (elsewhere, "sys_platform == 'linux'", other))
    needs = ", ".join(
        f'{{ name = "one", version = "1.0", source = {{ {source} }}, marker = "{marker}" }}'
        for source, marker, _ in sources_of
    )
    forks = [
        locked("one", "1.0", source, folder / "one" / f"one-1.0-{TAGS[1]}.whl").replace(
            "source", f'resolution-markers = ["{marker}"]\nsource', 1
        )
        for source, marker, folder in sources_of
    ]
    assert laid(uv_lock(tmp_path, *forks, needs=needs), MAC14, tmp_path / "14") == {"one": TAGS[1]}


def test_what_has_no_hash_goes_by_its_version() -> None:
    """As of an index that is a folder; where there is a hash, it alone counts."""
    lines = ["one==1 ; sys_platform == 'darwin'", "two==1 --hash=sha256:0", "two==1 --hash=sha256:1 --hash=sha256:2"]
    indexes = {"one==1": "a", "two==1": "b", "sha256:2": "c"}
    assert staging._by_index(lines, indexes) == {"": [lines[1]], "a": [lines[0]], "c": [lines[2]]}


def test_a_lock_of_uv_with_forks(index: Path, tmp_path: Path) -> None:
    """A version has a wheel, and another has none: each counts for the Python that it is for."""
    older, newer = "python_full_version < '3.12'", "python_full_version >= '3.12'"
    needs = ", ".join(
        f'{{ name = "one", version = "{version}", source = {{ registry = "{index.as_uri()}" }}, marker = "{marker}" }}'
        for version, marker in (("1.0", older), ("2.0", newer))
    )
    forks = [
        locked("one", version, f'registry = "{index.as_uri()}"', *wheels).replace(
            "source", f'resolution-markers = ["{marker}"]\nsource', 1
        )
        for version, marker, wheels in (
            ("1.0", older, [index / "one" / f"one-1.0-{TAGS[0]}.whl"]),
            ("2.0", newer, []),
        )
    ]
    file = uv_lock(tmp_path, *forks, needs=needs)
    assert staging.lay_down_file(file, MAC14, tmp_path / "11") == {}
    assert (tmp_path / "11" / "one.py").read_text() == TAGS[0]
    assert staging.lay_down_file(file, replace(MAC14, python="3.12"), tmp_path / "12") == {
        "one": "one has no wheel for Python 3.12 on macOS 14.0"
    }
    assert not list((tmp_path / "12").glob("*.py"))


BOMB = f"one-1.0-{'-'.join('.'.join(f'{part}{n}' for n in range(700)) for part in ('py', 'abi', 'on'))}.whl"


@pytest.fixture
def bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails where the tags of a name would be put together that stands for 343 millions."""

    def parsing(name: str) -> object:
        if len(name) > 5000:
            pytest.fail("this would take minutes, and all memory")
        return parse_wheel_filename(name)

    monkeypatch.setattr(staging, "parse_wheel_filename", parsing)
    monkeypatch.setattr("packaging.pylock.parse_wheel_filename", parsing)


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize("name", [BOMB, BOMB.replace("-", "%2D").replace(".", "%2E")], ids=["plain", "quoted"])
def test_a_wheel_of_too_many_tags(index: Path, tmp_path: Path, name: str) -> None:
    two = locked("two", "1.0", f'registry = "{index.as_uri()}"', index / "two" / f"two-1.0-{TAGS[0]}.whl")
    one = locked("one", "1.0", f'registry = "{index.as_uri()}"', index / "bomb").replace("bomb", f"one/{name}")
    file = uv_lock(tmp_path, one, two, needs='{ name = "one" }, { name = "two" }')
    started = time.monotonic()
    said = staging.lay_down_file(file, MAC14, tmp_path / "14")
    assert time.monotonic() - started < 5
    assert said == {"one": "one has no wheel for Python 3.11 on macOS 14.0"}
    assert {path.stem for path in (tmp_path / "14").glob("*.py")} == {"two"}


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize(
    "place",
    [
        f'name = "{BOMB}"\nurl = "https://x/y"',
        f'url = "https://x/{BOMB.replace("-", "%2D")};a-b-c-d"',
        f'path = "x/{BOMB}"',
    ],
    ids=["name", "url", "path"],
)
def test_a_wheel_of_too_many_tags_in_a_standard_lock(index: Path, tmp_path: Path, place: str) -> None:
    file = tmp_path / "pylock.toml"
    other = f'[[packages]]\nname = "one"\n[[packages.wheels]]\n{place}\nhashes = {{sha256 = "0"}}\n'
    file.write_text(pylock(index, other))
    with pytest.raises(UserError, match=r"cannot be used: .*stands for 343000000 tags"):
        staging.lay_down_file(file, MAC14, tmp_path / "14")


@pytest.mark.parametrize("packages", ["5", '"x"', "[5]", "[{name = []}]", '[{name = "x", wheels = 5}]'])
def test_a_standard_lock_of_another_form(tmp_path: Path, packages: str) -> None:
    file = tmp_path / "pylock.toml"
    file.write_text(f'lock-version = "1.0"\ncreated-by = "test"\npackages = {packages}\n')
    with pytest.raises(UserError, match="cannot be used"):
        staging.lay_down_file(file, MAC14, tmp_path / "14")


def test_a_standard_lock_with_what_is_no_wheel(index: Path, tmp_path: Path) -> None:
    """A project and a source are left out; an archive may be a wheel; what no wheel fits of can be left out."""
    wheel = index / "two" / f"two-1.0-{TAGS[0]}.whl"
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    other = [
        '[[packages]]\nname = "project"\ndirectory = {path = "."}',
        '[[packages]]\nname = "source"\nversion = "1"',
        'sdist = {url = "https://x/source-1.tar.gz", hashes = {sha256 = "0"}}',
        '[[packages]]\nname = "packed"\narchive = {url = "https://x/packed-1.zip", hashes = {sha256 = "0"}}',
        f'[[packages]]\nname = "two"\narchive = {{url = "{wheel.as_uri()}", hashes = {{sha256 = "{digest}"}}}}',
    ]
    file = tmp_path / "pylock.toml"
    file.write_text(pylock(index, *other))
    said = {name: f"{name} has no wheel for Python 3.11 in pylock.toml" for name in ("project", "source", "packed")}
    assert staging.lay_down_file(file, MAC14, tmp_path / "14") == said
    assert {path.stem for path in (tmp_path / "14").glob("*.py")} == {"one", "two"}
    unwanted = {"source": "not wanted"}
    assert staging.lay_down_file(file, MAC14, tmp_path / "without", without=unwanted) == {**said, **unwanted}
    python = replace(MAC14, python="3.13")
    with pytest.raises(UserError, match="--without NAME leaves a package out"):
        staging.lay_down_file(file, python, tmp_path / "13")
    assert staging.lay_down_file(file, python, tmp_path / "13", without={"one": "no"})["one"] == "no"
    assert {path.stem for path in (tmp_path / "13").glob("*.py")} == {"two"}


@pytest.mark.parametrize("builds", [("-2", "-10", ""), ("-10", "-2", ""), ("", "-2", "-10")])
def test_the_newest_build_of_a_wheel(index: Path, tmp_path: Path, builds: tuple[str, ...]) -> None:
    """Wherever it stands, and by its number."""
    lines = ['lock-version = "1.0"\ncreated-by = "test"\n[[packages]]\nname = "one"\nversion = "1.0"\nwheels = [']
    for build in builds:
        file = index / "one" / f"one-1.0{build}-{TAGS[1]}.whl"
        write_wheel(file, "one", f"build{build}", None)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        lines.append(f'{{url = "{file.as_uri()}", hashes = {{sha256 = "{digest}"}}}},')
    (tmp_path / "pylock.toml").write_text("\n".join([*lines, "]", ""]))
    assert laid(tmp_path / "pylock.toml", MAC14, tmp_path / "14") == {"one": "build-10"}


def environment(folder: Path, python: str = "python3.12") -> Path:
    """An environment with a package; returns the folder of its packages."""
    site = folder / "lib" / python / "site-packages"
    site.mkdir(parents=True)
    (site / "one.py").write_text("")
    install(site, "one", files=("one.py",), tag="py3-none-any")
    return site


def test_the_python_of_a_folder_of_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its parent says it, where the folder is named by itself or is the current one."""
    site = environment(tmp_path / "env", "python3.7")
    monkeypatch.chdir(site)
    assert [command._python_of(one) for one in (site, Path(), tmp_path / "env", tmp_path)] == ["3.7"] * 3 + [None]


def test_condas_python(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """conda has lib/python3.1 lead to lib/python3.12."""
    site = environment(tmp_path / "env")
    (tmp_path / "env" / "lib" / "python3.1").symlink_to("python3.12")
    assert command._site(tmp_path / "env") == site
    assert command._python_of(tmp_path / "env") == "3.12"
    assert command._python_of(tmp_path / "env/lib/python3.1/site-packages") == "3.12"
    assert command.main(["--environment", str(tmp_path / "env"), "--macos", "15"]) == 0
    assert "Python 3.12, macOS 15" in " ".join(capsys.readouterr().out.split())


def test_condas_libraries(tmp_path: Path) -> None:
    """What lies in a conda environment's lib is there, with what is bound to it; in another one it is nobody's."""
    site = environment(tmp_path / "env")
    module = f"two/mod.{PYTHON_TAG.replace('311', '312')}.so"
    write(
        site / module,
        links=("@loader_path/../../../libfoo.dylib",),
        imports=((1, "_foo"),),
        exports=("_PyInit_mod",),
        filetype=macho.BUNDLE,
    )
    install(site, "two", files=(module,), tag="cp312-cp312-macosx_14_0_arm64")
    library = write(tmp_path / "env" / "lib" / "libfoo.dylib")
    target = replace(MAC14, python="3.12")

    def checked() -> report.Report:
        return command.check_environment(tmp_path / "env", target, (target.floor,), lambda _: None)

    assert [one.kind for one in checked().findings] == ["missing-dependency"]
    (tmp_path / "env" / "conda-meta").mkdir()
    found = checked()
    assert found.findings == ()
    assert any("conda" in one for one in found.assumptions)
    library.unlink()
    assert [one.kind for one in checked().findings] == ["missing-dependency"]


def test_an_environment_of_links(tmp_path: Path) -> None:
    """As uv makes it with UV_LINK_MODE=symlink: the files are elsewhere."""
    site = environment(tmp_path / "env")
    for path in (site / "one-1.0.dist-info").iterdir():
        path.symlink_to(path.rename(tmp_path / path.name))
    with pytest.raises(UserError, match=r"There are no packages in .* are no links to elsewhere"):
        command.main(["--environment", str(tmp_path / "env")])


@pytest.mark.parametrize("python", [[], ["--python", "3.13"]])
def test_an_environment_of_a_free_threaded_python(tmp_path: Path, python: list[str]) -> None:
    """Whose wheels are others, whatever is said."""
    site = environment(tmp_path / "env", "python3.13t")
    for folder in (tmp_path / "env", site):
        with pytest.raises(UserError, match=r"free-threaded Python \(python3\.13t\)"):
            command.main(["--environment", str(folder), *python])


@pytest.mark.parametrize("inside", [".venv", ".pixi/envs/default"])
def test_a_project_is_no_environment(tmp_path: Path, inside: str) -> None:
    environment(tmp_path / inside)
    with pytest.raises(UserError) as told:
        command.main(["--environment", str(tmp_path)])
    assert str(told.value).endswith(f" Is {tmp_path / inside} meant?")


@pytest.mark.parametrize("option", ["--json", "--sarif"])
def test_a_folder_that_is_not_there_is_told_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    def lay_down(*_: object) -> None:
        pytest.fail("nothing is to be done")

    monkeypatch.setattr(staging, "lay_down_file", lay_down)
    monkeypatch.setattr(staging, "lay_down_lock", lay_down)
    (tmp_path / "r.txt").write_text("one\n")
    for what in (["--requirements", str(tmp_path / "r.txt")], []):
        with pytest.raises(SystemExit) as ended:
            command.main([*what, option, str(tmp_path / "gone" / "result")])
        assert ended.value.code == 2
        assert f"there is no folder {tmp_path / 'gone'}" in " ".join(capsys.readouterr().err.split())


def test_an_address_is_percent_encoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the current folder and elsewhere."""
    lock = tmp_path / "my locks" / "ä#1%.lock"
    lock.parent.mkdir()
    lock.write_text("one==1\n")
    monkeypatch.chdir(tmp_path)
    assert sarif._address(lock) == "my%20locks/%C3%A4%231%25.lock"
    monkeypatch.chdir(lock.parent)
    assert sarif._address(lock) == "%C3%A4%231%25.lock"
    monkeypatch.chdir("/")
    assert sarif._address(lock).endswith("/my%20locks/%C3%A4%231%25.lock")


def test_what_is_found_in_an_environment_has_a_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder: code hosts take no result without one."""
    site = environment(tmp_path / "my env")
    (site / "one.py").unlink()
    monkeypatch.chdir(tmp_path)
    result = tmp_path / "result.sarif"
    assert command.main(["--environment", "my env", "--macos", "15", "--sarif", str(result)]) == 1
    (run,) = json.loads(result.read_text())["runs"]
    assert [one["locations"] for one in run["results"]] == [
        [{"physicalLocation": {"artifactLocation": {"uri": "my%20env"}, "region": {"startLine": 1}}}]
    ]
