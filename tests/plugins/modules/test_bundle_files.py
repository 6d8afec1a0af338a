"""A bundle is used only as it was made: every file by its hash, none besides, no link."""

import os
import subprocess
from pathlib import Path

import pytest
from ansible_collections.metal_lab.macs.plugins.module_utils import bundle_files as files
from ansible_collections.metal_lab.macs.plugins.modules import bundle_files

from tests.helpers.plugins import run_module


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "a bundle é"
    for name in ("bundle.json", "index/files/a.whl", "index/files/b.whl", "git/brew.git/HEAD"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"content of {name}", encoding="utf-8")
    seal(folder)
    return folder


def seal(folder: Path) -> None:
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    done = subprocess.run(["sha256sum", *names], cwd=folder, capture_output=True, check=True)
    (folder / "SHA256SUMS").write_bytes(done.stdout)


def said(folder: Path) -> list[str]:
    answer = run_module(bundle_files.main, {"folder": str(folder)})
    problems = files.problems(folder)
    assert answer.get("problems", []) == problems
    if problems:
        assert answer["msg"].startswith(f"The bundle in {folder} is not as it was made: {problems[0]}")
    return problems


def test_a_bundle_is_taken_as_it_was_made(bundle: Path) -> None:
    for name in ("x.part", "git/brew.git/FETCH_HEAD", ".DS_Store", "index/._a.whl"):
        (bundle / name).touch()
    assert said(bundle) == []
    (bundle.parent / "linked").symlink_to(bundle)
    assert said(bundle.parent / "linked") == []


def test_what_was_altered_added_or_taken_away_is_named(bundle: Path) -> None:
    (bundle / "index/files/a.whl").write_text("content of index/files/A.whl", encoding="utf-8")
    (bundle / "index/files/b.whl").unlink()
    (bundle / "index/files/c.whl").touch()
    assert said(bundle) == [
        "index/files/c.whl: SHA256SUMS does not name it",
        "index/files/b.whl: it is missing",
        "index/files/a.whl: it was altered",
    ]


@pytest.mark.parametrize("inner", [True, False])
def test_no_link_is_followed(bundle: Path, inner: bool) -> None:
    secret = bundle.parent / "secret"
    secret.write_text("content of index/files/b.whl", encoding="utf-8")
    (bundle / "index/files/b.whl").unlink()
    (bundle / "index/files/b.whl").symlink_to("a.whl" if inner else secret)
    (bundle / "git/out").symlink_to(bundle.parent)
    os.mkfifo(bundle / "pipe")
    named = ["git/out", "index/files/b.whl", "pipe"]
    assert said(bundle) == [f"{name}: a link, or no file at all" for name in named]


@pytest.mark.parametrize(
    "line",
    [
        *(
            f"{'0' * 64}  ../x",
            f"{'0' * 64}  /etc/passwd",
            f"{'0' * 64}  a/../../x",
            f"{'0' * 63}  x",
            f"{'0' * 64} *x",
        ),
        *(f"\\{'0' * 64}  x", "x", f"{'0' * 64}  a//x", f"{'0' * 64}  a\x01"),
    ],
)
def test_a_line_of_another_form_is_refused(bundle: Path, line: str) -> None:
    with (bundle / "SHA256SUMS").open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
    (problem,) = said(bundle)
    assert problem.startswith("SHA256SUMS has a line of another form: ")


def test_without_sums_there_is_nothing_to_go_by(bundle: Path) -> None:
    (bundle / "SHA256SUMS").unlink()
    (problem,) = said(bundle)
    assert problem.startswith("SHA256SUMS cannot be read: ")


def test_not_every_problem_is_told_at_length() -> None:
    assert files.summary([str(number) for number in range(5)]) == "0; 1; 2; 3; 4"
    assert files.summary([str(number) for number in range(7)]) == "0; 1; 2; 3; 4, and 2 more"
