"""What packages say of themselves against what is there."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from verify.errors import UserError
from verify.linkcheck import macho, packages
from verify.linkcheck.findings import Counts, Finding, accept
from verify.linkcheck.report import Report
from verify.linkcheck.tree import Tree
from verify.profile import model as profiles
from verify.profile.model import AcceptedFinding

from .machos import install

Check = Callable[[], Report]


def package(site: Path, name: str, text: str = "x = 1\n", **more: object) -> Path:
    """A package of one Python file; returns the file."""
    file = site / name / "__init__.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    install(site, name, files=(f"{name}/__init__.py",), **more)  # type: ignore[arg-type]
    return file


def test_packages_that_are_what_they_say(site: Path, check: Check) -> None:
    package(site, "one", requires=("two>=1,<2", "three; python_version < '3.0'", "four; extra == 'all'"))
    package(site, "two")
    report = check()
    assert report.findings == ()
    assert (report.choices[0].counts.packages, report.choices[0].counts.hashed) == (2, 6)


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("x = 2\n", "one/__init__.py: another hash than in RECORD"),
        ("x = 100\n", "one/__init__.py: 8 bytes, RECORD says 6"),
        (None, "one/__init__.py: missing"),
    ],
)
def test_a_record_that_lies(site: Path, check: Check, text: str | None, detail: str) -> None:
    file = package(site, "one")
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    (finding,) = check().findings
    assert (finding.id, finding.details) == ("record:one", (detail,))


def test_a_file_that_no_record_has(site: Path, check: Check) -> None:
    package(site, "one")
    (site / "one" / "smuggled.py").write_text("")
    (finding,) = check().findings
    assert (finding.kind, finding.details) == ("no-owner", ("one/smuggled.py",))


@pytest.mark.parametrize("row", ["../../../etc/passwd,,", "/etc/passwd,,", "one/../../../x,sha256=AAAA,3"])
def test_a_record_with_a_path_outside(site: Path, check: Check, row: str) -> None:
    package(site, "one", extra_rows=(row,))
    (finding,) = check().findings
    assert (finding.kind, finding.subject) == ("leaves-folder", row.partition(",")[0])


@pytest.mark.parametrize(
    "record",
    [
        "one/__init__.py,sha256=?,6\n",
        '"one/__init__.py\n',
        "\0\n",
        "one/__init__.py,sha256=AAAA,99999999999999999999\n",
    ],
)
def test_a_damaged_record(site: Path, check: Check, record: str) -> None:
    package(site, "one")
    (site / "one-1.0.dist-info" / "RECORD").write_text(record)
    assert check().findings


@pytest.mark.parametrize("text", ["", "Name: one\n", "Name: one\nVersion: 1\nRequires-Dist: ???\n", "\xff\xfe"])
def test_damaged_metadata(site: Path, check: Check, text: str) -> None:
    package(site, "one")
    (site / "one-1.0.dist-info" / "METADATA").write_text(text, encoding="latin-1")
    assert "metadata" in {one.kind for one in check().findings}


def test_two_owners_of_one_file(site: Path, check: Check) -> None:
    package(site, "one")
    install(site, "two", files=("one/__init__.py",))
    (finding,) = check().findings
    assert (finding.id, finding.details) == ("two-owners:one+two", ("one/__init__.py",))


@pytest.mark.parametrize(
    ("requirement", "said"),
    [("two>=2", "needs two>=2, installed is 1.0"), ("other", "needs other, which is not installed")],
)
def test_a_requirement_that_is_not_satisfied(site: Path, check: Check, requirement: str, said: str) -> None:
    package(site, "one", requires=(requirement,))
    package(site, "two")
    (finding,) = check().findings
    assert finding.kind == "requirement"
    assert said in finding.message


@pytest.mark.parametrize(
    ("tag", "fits"),
    [
        ("py3-none-any", True),
        ("cp311-cp311-macosx_14_0_arm64", True),
        ("cp39-abi3-macosx_11_0_universal2", True),
        ("py3-none-macosx_12_0_universal2", True),
        ("cp312-cp312-macosx_14_0_arm64", False),
        ("cp311-cp311-macosx_15_0_arm64", False),
        ("cp311-cp311-macosx_14_0_x86_64", False),
        ("cp311-cp311-manylinux_2_17_aarch64", False),
    ],
)
def test_wheel_tags(site: Path, check: Check, tag: str, fits: bool) -> None:
    package(site, "one", tag=tag)
    assert [one.id for one in check().findings] == ([] if fits else ["wheel-tag:one"])


def test_an_accepted_finding_and_a_stale_acceptance() -> None:
    finding = Finding("duplicate-runtime", "openmp", "Two copies.")
    known = AcceptedFinding("duplicate-runtime:openmp", "No choice.", "here")
    (marked,) = accept([finding], [known], "profile.yml")
    assert marked.accepted == known
    (stale,) = accept([], [known], "profile.yml")
    assert (stale.id, stale.accepted) == ("stale-acceptance:duplicate-runtime:openmp", None)
    assert "No choice." in stale.message


def test_a_stale_acceptance_cannot_be_accepted() -> None:
    known = AcceptedFinding("too-new:x", "Because.", "here")
    worse = AcceptedFinding("stale-acceptance:too-new:x", "Because.", "here")
    assert all(one.accepted is None for one in accept([], [known, worse], "profile.yml"))


def test_an_acceptance_for_some_releases_alone() -> None:
    """What it covers is accepted and the rest is not; one that covers nothing is told."""
    finding = Finding("too-new", "x", "New.", releases=("15.0", "26.0", "26.2"))
    first = AcceptedFinding("too-new:x", "Update.", "here", ">=26,<26.2")
    second = AcceptedFinding("too-new:x", "Old.", "there", "<26")
    other = AcceptedFinding("too-new:y", "No.", "here", "<26")

    def marks(*accepted: AcceptedFinding) -> list[tuple[tuple[str, ...], str | None]]:
        return [
            (one.releases, one.accepted.reason if one.accepted else None)
            for one in accept([finding], accepted, "profile.yml")
            if one.kind == "too-new"
        ]

    assert marks(first) == [(("26.0",), "Update."), (("15.0", "26.2"), None)]
    assert marks(first, second) == [(("26.0",), "Update."), (("15.0",), "Old."), (("26.2",), None)]
    assert marks(first, AcceptedFinding("too-new:x", "All.", "here")) == [
        (("26.0",), "Update."),
        (("15.0", "26.2"), "All."),
    ]
    assert marks(replace(first, macos=">=27"), other) == [(finding.releases, None)]
    stale = accept([finding], [replace(first, macos=">=27"), other], "profile.yml")[1:]
    assert [one.id for one in stale] == ["stale-acceptance:too-new:x", "stale-acceptance:too-new:y"]
    assert "no longer found on macOS >=27: remove" in stale[0].message


@pytest.mark.parametrize(
    ("macos", "valid"),
    [
        ("<26.2", True),
        (">=26,<26.2", True),
        ("==26.0", True),
        ("26.0", False),
        ("< 26", False),
        ("", False),
        (26, False),
    ],
)
def test_how_an_acceptance_names_releases(macos: object, valid: bool) -> None:
    schema = json.loads((profiles.PROFILES / "profile.schema.json").read_text())
    entry = {"finding": "too-new:x", "reason": "Because.", "link": "here", "macos": macos}
    assert Draft202012Validator(schema["$defs"]["accepted_finding"]).is_valid(entry) is valid


@pytest.mark.parametrize("missing", ["reason", "link", "finding"])
def test_a_profile_accepts_only_with_a_reason_and_a_link(tmp_path: Path, missing: str) -> None:
    shutil.copytree(profiles.PROFILES / "ml-m1", tmp_path / "ml-m1")
    entry = {"finding": "too-new:x", "reason": "Because.", "link": "somewhere"}
    file = tmp_path / "ml-m1" / "profile.yml"
    text = file.read_text().partition("accepted_findings:")[0]
    file.write_text(text + yaml.safe_dump({"accepted_findings": [entry]}))
    assert profiles.load("ml-m1", tmp_path).accepted_findings == (AcceptedFinding(**entry),)
    del entry[missing]
    file.write_text(text + yaml.safe_dump({"accepted_findings": [entry]}))
    with pytest.raises(UserError, match=missing):
        profiles.load("ml-m1", tmp_path)


@pytest.mark.parametrize("marker", ["os_name === 'x'", "platform_version ~= '1.0'", "'x' in extras"])
def test_a_marker_that_nobody_can_answer_does_not_apply(site: Path, check: Check, marker: str) -> None:
    package(site, "one", requires=(f"two; {marker}",))
    assert check().findings == ()


@pytest.mark.parametrize(("rows", "read"), [(300_000, True), (300_001, False)])
def test_a_record_has_a_limit(site: Path, rows: int, read: bool) -> None:
    file = package(site, "one")
    file.unlink()
    (site / "one-1.0.dist-info" / "RECORD").write_text("\n" * rows)
    found, findings = packages.read_all(Tree.scan(site))
    assert ([one.name for one in found], [one.id for one in findings]) == (
        (["one"], []) if read else ([], ["metadata:one-1.0.dist-info"])
    )


def told(site: Path, record: str = "", **files: str) -> tuple[list[packages.Package], list[Finding]]:
    """What is read of a package "one" with this RECORD and these other files of its metadata."""
    info = site / "one-1.0.dist-info"
    info.mkdir()
    files.setdefault("METADATA", "Name: One_1\nVersion: 1.0\n")
    for name, text in {"RECORD": record, **files}.items():
        (info / name.replace("_txt", ".txt")).write_text(text)
    return packages.read_all(Tree.scan(site))


def test_what_is_read_of_a_package(site: Path) -> None:
    ((one,), findings) = told(
        site,
        'one/a.py,sha256=AAEC_-8,12\n\none/b.py,sha512=AAEC,x\n"one/c,d.py"\none/e,sha256=AAEC,\n',
        METADATA="Name: One_1\nVersion: 1.0\nRequires-Dist: two>=1\nRequires-Dist: three\n\nVersion: of the text\n",
        WHEEL="Tag: py2.py3-none-any\nTag: cp311-abi3-macosx_11_0_arm64 \n",
        entry_points_txt="[jax_plugins]\nx:1 = a.b:c%d\nX:1 = e\nX:1 = f\n[other]\ny=z\n",
    )
    assert findings == []
    assert (one.name, one.version, one.info) == ("one-1", "1.0", "one-1.0.dist-info")
    assert one.rows == (
        packages.Row("one/a.py", "000102ffef", 12),
        packages.Row("one/b.py", None, None),
        packages.Row("one/c,d.py", None, None),
        packages.Row("one/e", "000102", None),
    )
    assert sorted(map(str, one.tags)) == ["cp311-abi3-macosx_11_0_arm64", "py2-none-any", "py3-none-any"]
    assert [str(requirement) for requirement in one.requires] == ["two>=1", "three"]
    assert one.entry_points == (("jax_plugins", "x:1", "a.b:c%d"), ("jax_plugins", "X:1", "f"), ("other", "y", "z"))


def test_a_package_may_say_little(site: Path) -> None:
    ((one,), findings) = told(site)
    assert (findings, one.rows, one.tags, one.requires, one.entry_points) == ([], (), frozenset(), (), ())


@pytest.mark.parametrize(
    ("record", "files", "said"),
    [
        ("", {"METADATA": "Name: one\n"}, "no name or no version"),
        ("", {"METADATA": "Version: 1\n"}, "no name or no version"),
        ("", {"METADATA": "Name: one\nVersion: 1\nRequires-Dist: two (\n"}, "the requirement 'two ('"),
        ("", {"WHEEL": "Tag: py3\n"}, ""),
        ("", {"entry_points_txt": "x = y\n"}, "no section headers"),
        ("a,sha256=A,1\n", {}, ""),
        ("a" * 200_000 + ",,\n", {}, "field larger than field limit"),
    ],
)
def test_metadata_that_cannot_be_read(site: Path, record: str, files: dict[str, str], said: str) -> None:
    found, (finding,) = told(site, record, **files)
    assert (found, finding.id) == ([], "metadata:one-1.0.dist-info")
    assert said in finding.message


def test_metadata_that_is_gone_or_too_large(site: Path) -> None:
    told(site, "")
    tree = Tree.scan(site)
    (site / "one-1.0.dist-info" / "METADATA").unlink()
    assert "No such file" in packages.read_all(tree)[1][0].message
    os.truncate(site / "one-1.0.dist-info" / "RECORD", (64 << 20) + 1)
    (site / "one-1.0.dist-info" / "METADATA").write_text("Name: one\nVersion: 1\n")
    assert "one-1.0.dist-info/RECORD has 67108865 bytes" in packages.read_all(Tree.scan(site))[1][0].message
    os.truncate(site / "one-1.0.dist-info" / "RECORD", 64 << 20)
    assert "field larger than field limit" in packages.read_all(Tree.scan(site))[1][0].message  # it is read
    (site / "one-1.0.dist-info" / "RECORD").unlink()
    assert "RECORD is missing" in packages.read_all(Tree.scan(site))[1][0].message


@pytest.mark.parametrize("place", ["pkg/_vendor/two-1.0.dist-info", "two-1.0.egg-info", "pkg"])
def test_only_what_is_installed_is_a_package(site: Path, place: str) -> None:
    (site / place).mkdir(parents=True)
    (site / place / "METADATA").write_text("Name: two\nVersion: 1\n")
    assert packages.read_all(Tree.scan(site)) == ([], [])


def test_what_uv_leaves_belongs_to_nobody(site: Path, check: Check) -> None:
    package(site, "one")
    (site / ".lock").write_text("")
    assert check().findings == ()
    (site / "one" / ".lock").write_text("")
    assert [one.details for one in check().findings] == [("one/.lock",)]


def test_each_file_that_lies_is_named_once(site: Path, check: Check) -> None:
    """All of a package in one finding by their kind, and no file of another package; one without a hash may differ."""
    for name in ("one", "two", "three"):
        package(site, name, extra_rows=(f"{name}/free.py,,", f"{name}/gone.py,,") if name != "three" else ())
        (site / name / "__init__.py").write_text("y = 1\n")
    for name in ("one", "two"):
        (site / name / "free.py").write_text("")
    report = check()
    assert {(one.id, one.details) for one in report.findings} == {
        ("record:one", ("one/gone.py: missing",)),
        ("record:two", ("two/gone.py: missing",)),
        *(
            (f"record:{name}", (f"{name}/__init__.py: another hash than in RECORD",))
            for name in ("one", "two", "three")
        ),
    }
    assert report.choices[0].counts.hashed == 9
    assert "1 file(s) of one 1.0 are" in report.findings[0].message


@pytest.mark.parametrize(("limit", "details"), [(6, "another hash than in RECORD"), (5, "6 bytes are more than are")])
def test_a_file_that_is_too_large_is_not_compared(
    site: Path, monkeypatch: pytest.MonkeyPatch, limit: int, details: str
) -> None:
    package(site, "one")
    found, _ = packages.read_all(Tree.scan(site))
    rows = (packages.Row("one/__init__.py", "00", None),)
    monkeypatch.setattr(macho, "MAX_FILE", limit)
    (finding,) = packages.check_files(Tree.scan(site), [replace(found[0], rows=rows)], Counts())
    assert details in finding.details[0]


def test_paths_outside_are_not_missing_as_well(site: Path) -> None:
    package(site, "one", extra_rows=("../x,,", "/y,,", "a/../../z,,", "..a/b,,", "a/..b,,"))
    found, _ = packages.read_all(Tree.scan(site))
    (finding,) = packages.check_files(Tree.scan(site), found, Counts())
    assert finding.details == ("..a/b: missing", "a/..b: missing")
    owned, findings = packages.owners(Tree.scan(site), found)
    assert [one.subject for one in findings] == ["../x", "/y", "a/../../z"]
    assert owned["..a/b"] == "one"


def test_owners_of_a_file(site: Path) -> None:
    """Rows that stand twice are no second owner; more than two owners are pairs with the first."""
    package(site, "one", extra_rows=("one/__init__.py,,",))
    install(site, "two", files=("one/__init__.py",))
    install(site, "three", files=("one/__init__.py",))
    found, _ = packages.read_all(Tree.scan(site))
    owned, findings = packages.owners(Tree.scan(site), found)
    assert owned["one/__init__.py"] == "one"
    assert [one.id for one in findings] == ["two-owners:one+three", "two-owners:one+two"]
    assert findings[0].message.startswith("1 file(s) belong to both one and three")


@pytest.mark.parametrize(
    ("tags", "fits"),
    [
        ("cp311-none-any", True),
        ("cp312-none-any", False),
        ("py311-none-any", True),
        ("py312-none-any", False),
        ("py2-none-any", False),
        ("py2.py3-none-any", True),
        ("cp311-cp311-macosx_15_0_arm64.macosx_14_0_arm64", True),
        ("cp311-abi3-macosx_14_0_arm64", True),
        ("cp312-abi3-macosx_14_0_arm64", False),
        ("cp311-none-macosx_11_0_arm64", True),
    ],
)
def test_more_wheel_tags(site: Path, check: Check, tags: str, fits: bool) -> None:
    package(site, "one", tag=tags)
    findings = check().findings
    assert [one.id for one in findings] == ([] if fits else ["wheel-tag:one"])
    assert fits or findings[0].message.endswith("CPython 3.11 on arm64 and macOS 14.4 or older.")


@pytest.mark.parametrize(
    ("requirement", "satisfied"),
    [
        ("two==1.0rc1", True),
        ("two<1", False),
        ("two>=1.0", False),
        ("Two", True),
        ("t.wo", False),
        ("two>=2; sys_platform == 'darwin'", False),
        ("two>=2; sys_platform == 'linux'", True),
        ("two>=2; python_version >= '3.11'", False),
        ("two>=2; python_version < '3.11'", True),
        ("two>=2; python_full_version > '3.11.4'", False),
        ("two>=2; extra == 'x'", True),
        ("two>=2; platform_machine == 'arm64' and os_name == 'posix'", False),
        ("odd", False),
        ("odd>=1", False),
    ],
)
def test_requirements(site: Path, check: Check, requirement: str, satisfied: bool) -> None:
    package(site, "one", requires=(requirement,))
    package(site, "two", version="1.0rc1")
    package(site, "odd", version="unknown")
    assert [one.kind for one in check().findings] == ([] if satisfied else ["requirement"])


@pytest.mark.parametrize(
    ("path", "module", "other"),
    [
        ("a/b.cpython-311-darwin.so", "a.b", False),
        ("a/b.abi3.so", "a.b", False),
        ("a/b.so", "a.b", False),
        ("b.so", "b", False),
        ("a/b.cpython-312-darwin.so", None, True),
        ("a/b.cpython-311-x86_64-linux-gnu.so", None, True),
        ("a/b.pypy39-pp73-darwin.so", None, False),
        ("a/libb.1.so", None, False),
        ("a/b.dylib", None, False),
        ("a/b.cpython-312-darwin.dylib", None, False),
    ],
)
def test_names_of_extension_modules(path: str, module: str | None, other: bool) -> None:
    assert packages.module_of(path, "3.11") == module
    assert packages.for_another_python(path, "3.11") is other


def test_which_packages_a_package_uses(site: Path) -> None:
    """Those that it requires, and those whose modules its Python code imports, from files of a size that code has."""
    limit = 4 << 20
    package(site, "one", "import os, sys\n  from two.a import x\n# import three\n", requires=("Four.x", "one"))
    for name, size in (("large", limit), ("larger", limit + 1), ("empty", 0)):
        (site / "one" / f"{name}.py").write_text(f"import {name}\n".ljust(size, "#") if size else "")
    (site / "one" / "text.txt").write_text("import nine\n")
    rows = tuple(f"one/{name},," for name in ("large.py", "larger.py", "empty.py", "text.txt", "gone.py"))
    package(site, "one", (site / "one" / "__init__.py").read_text(), requires=("Four.x", "one"), extra_rows=rows)
    for name in ("two", "three", "four-x", "large", "larger", "nine"):
        package(site, name)
    (site / "single.py").write_text("")
    install(site, "five", files=("single.py",))
    (site / "one" / "last.py").write_text("import single\n")
    install(site, "one", files=("one/last.py", "one/__init__.py"), requires=("Four.x", "one"), extra_rows=rows)
    tree = Tree.scan(site)
    found = {one.name: one for one in packages.read_all(tree)[0]}
    assert packages.uses(tree, found["one"], found.values()) == ["five", "four-x", "large", "two"]
