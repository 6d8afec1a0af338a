"""A channel of what an environment needs: what the solver is asked, how it comes, and what is written."""

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from verify.bundle import channel
from verify.errors import UserError
from verify.profile import model as profiles

from .conftest import Site

PROFILE = profiles.load("ml-m1")
# Stands in for the solver's package: notes what it is asked, and answers what stands in a file.
RATTLER = """
import json, pathlib
HERE = pathlib.Path(__file__).parent
def PackageName(name): return name
Version = BuildString = PackageName
def GenericVirtualPackage(*parts): return parts
class One:
    def __init__(self, url, file_name, subdir, record):
        self.url, self.file_name, self.subdir, self.record = url, file_name, subdir, record
    def to_json(self): return json.dumps(self.record)
async def solve(channels, specs, platforms, virtual_packages):
    (HERE / "asked").write_text(json.dumps([channels, specs, platforms, virtual_packages]))
    answer = json.loads((HERE.parent / "answer").read_text())
    if isinstance(answer, str):
        raise ValueError(answer)
    return [One(*one) for one in answer]
"""


class Solver:
    """uv, and what it puts in its place."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def calls(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def answers(self, *records: tuple[str, str, str, dict[str, Any]], failure: str = "") -> None:
        (self.folder / "answer").write_text(json.dumps(failure or records))

    def asked(self) -> Any:
        return json.loads((self.folder / "solver" / "asked").read_text())


@pytest.fixture
def solver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Solver:
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "rattler.py").write_text(RATTLER)
    uv = folder / "uv"
    uv.write_text(
        f'#!/bin/sh\necho "$*" >>{folder}/calls\n[ -z "$UV_FAILS" ] || {{ echo " no wheel " >&2; exit 2; }}\n'
        f"mkdir -p {folder}/solver && cp {folder}/rattler.py {folder}/solver\n"
    )
    uv.chmod(0o755)
    (folder / "solver.txt").write_text("py-rattler==1\n")
    monkeypatch.setattr(channel, "find_uv_bin", lambda: str(uv))
    monkeypatch.setattr(channel, "_PLACE", folder / "solver")
    monkeypatch.setattr(channel, "SOLVER_LOCK", folder / "solver.txt")
    return Solver(folder)


def package(web: Site, subdir: str, file: str, **record: Any) -> tuple[str, str, str, dict[str, Any]]:
    """Put a package on the channel; returns what the solver says of it."""
    web.pages[f"/{subdir}/{file}"] = file.encode()
    url = f"{web.url}/{subdir}/{file}"
    about = {"sha256": hashlib.sha256(file.encode()).hexdigest(), "url": url, "channel": web.url, "fn": file, **record}
    return url, file, subdir, about


def test_a_channel_of_what_is_needed(web: Site, solver: Solver, tmp_path: Path) -> None:
    python = package(web, "osx-arm64", "python-3.11.conda", name="python", depends=["tzdata"])
    tzdata = package(web, "noarch", "tzdata-1.tar.bz2", name="tzdata")
    solver.answers(python, tzdata)
    mac = replace(PROFILE.platform("darwin-arm64"), macos_floor="14.4")
    bundle = tmp_path / "bundle"
    fetched = channel.collect(bundle, web.url, ["python=3.11", "pip"], mac)
    assert fetched == ["conda/conda-forge/osx-arm64/python-3.11.conda", "conda/conda-forge/noarch/tzdata-1.tar.bz2"]
    assert solver.asked() == [
        [web.url],
        ["python=3.11", "pip"],
        ["osx-arm64", "noarch"],
        [["__unix", "0", "0"], ["__osx", "14.4", "0"], ["__archspec", "1", "m1"]],
    ]
    assert (bundle / fetched[0]).read_bytes() == b"python-3.11.conda"
    text = (bundle / "conda" / "conda-forge" / "osx-arm64" / "repodata.json").read_text()
    digest = python[3]["sha256"]
    assert (
        text
        == json.dumps(
            {
                "info": {"subdir": "osx-arm64"},
                "packages": {},
                "packages.conda": {"python-3.11.conda": {"depends": ["tzdata"], "name": "python", "sha256": digest}},
                "removed": [],
                "repodata_version": 1,
            },
            indent=1,
        )
        + "\n"
    )
    noarch = json.loads((bundle / "conda" / "conda-forge" / "noarch" / "repodata.json").read_text())
    assert (list(noarch["packages"]), noarch["packages.conda"]) == (["tzdata-1.tar.bz2"], {})
    assert channel.collect(bundle, web.url, ["python=3.11", "pip"], mac) == []


@pytest.mark.parametrize(("platform", "subdir"), [("linux-x86_64", "linux-64"), ("linux-aarch64", "linux-aarch64")])
def test_another_machine(solver: Solver, tmp_path: Path, platform: str, subdir: str) -> None:
    solver.answers()
    assert channel.collect(tmp_path / "bundle", "file:///c", ["pip"], PROFILE.platform(platform)) == []
    machine = [["__unix", "0", "0"], ["__linux", "5.10", "0"], ["__glibc", "2.35", "0"]]
    assert solver.asked() == [["file:///c"], ["pip"], [subdir, "noarch"], machine]
    assert {path.name for path in (tmp_path / "bundle" / "conda" / "conda-forge").iterdir()} == {subdir, "noarch"}


def test_the_solver_comes_once_for_each_lock_with_its_hashes(solver: Solver, tmp_path: Path) -> None:
    solver.answers()
    mac = PROFILE.platform("darwin-arm64")
    for text in ("py-rattler==1\n", "py-rattler==1\n", "py-rattler==2\n"):
        (solver.folder / "solver.txt").write_text(text)
        channel.collect(tmp_path / "bundle", "file:///c", ["pip"], mac)
    place, lock = solver.folder / "solver", solver.folder / "solver.txt"
    assert (
        solver.calls()
        == [
            f"pip install --quiet --python {sys.executable} --target {place} --require-hashes --no-deps "
            f"--only-binary :all: --reinstall -r {lock}"
        ]
        * 2
    )


def test_what_cannot_be_had_is_told(
    solver: Solver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    mac = PROFILE.platform("darwin-arm64")
    solver.answers(failure="x" * 2000 + "nothing provides it")
    with pytest.raises(UserError, match=r"^file:///c gives no solution: x+nothing provides it$") as caught:
        channel.collect(tmp_path / "bundle", "file:///c", ["pip"], mac)
    assert len(str(caught.value)) == len("file:///c gives no solution: ") + 1500
    monkeypatch.setenv("UV_FAILS", "1")
    (solver.folder / "solver.txt").write_text("py-rattler==2\n")
    with pytest.raises(UserError, match=r"could not be fetched from the package index: no wheel$"):
        channel.collect(tmp_path / "bundle", "file:///c", ["pip"], mac)
    assert capfd.readouterr() == ("", "")
