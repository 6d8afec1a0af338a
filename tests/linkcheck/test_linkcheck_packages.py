"""What packages say of themselves against what is there."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from verify.errors import UserError
from verify.linkcheck import packages
from verify.linkcheck.findings import Finding, accept
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
    assert (report.counts.packages, report.counts.hashed) == (2, 6)


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


@pytest.mark.parametrize(("rows", "read"), [(1_000_000, True), (1_000_001, False)])
def test_a_record_has_a_limit(site: Path, rows: int, read: bool) -> None:
    file = package(site, "one")
    file.unlink()
    (site / "one-1.0.dist-info" / "RECORD").write_text("\n" * rows)
    found, findings = packages.read_all(Tree.scan(site))
    assert ([one.name for one in found], [one.id for one in findings]) == (
        (["one"], []) if read else ([], ["metadata:one-1.0.dist-info"])
    )
