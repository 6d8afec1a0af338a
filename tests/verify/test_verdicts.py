"""A run's verdict from end to end: exit codes, selections, an end in the middle, and a disk that is full."""

import functools
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from _pytest.junitxml import LogXML

from tests.verify import macs
from tests.verify.runs import AT, NAMES, PROFILE, Lab, said_of
from verify import ROOT
from verify import __main__ as verify
from verify.report import command, page, view
from verify.results import files
from verify.target import record

FULL_DISK = OSError(28, "No space left on device")
WORDS = {"h": "HEALTHY", "u": "UNHEALTHY", "v": "COULD NOT BE VERIFIED"}


def spoil(lab: Lab, verdicts: str) -> None:
    """Give each host the verdict of its letter in WORDS."""

    def away(_: macs.Question) -> macs.Answer:
        raise RuntimeError("no route to host")

    for name, verdict in zip(NAMES, verdicts, strict=True):
        if verdict == "u":
            lab.patch.setitem(macs._ANSWERING, name, away)
    lab.here.at = tuple(name for name, verdict in zip(NAMES, verdicts, strict=True) if verdict == "v")
    lab.patch.setattr(record, "parse", lab.here.planted(record.parse, RuntimeError("planted")))


@pytest.mark.parametrize("entry", ["command", "pytest"])
@pytest.mark.parametrize(
    ("verdicts", "code"), [("hhh", 0), ("huh", 1), ("uuu", 1), ("hvh", 2), ("uvh", 2), ("vhu", 2), ("vvv", 2)]
)
def test_the_exit_code_is_the_worst_verdict(lab: Lab, verdicts: str, code: int, entry: str) -> None:
    spoil(lab, verdicts)
    done = lab.verify(level="setup", entry=entry)
    assert done.code == code
    assert "Traceback" not in done.screen
    for name, verdict in zip(NAMES, verdicts, strict=True):
        assert WORDS[verdict] in said_of(name, done.screen).split(": ")[1].split(",")[0]
        assert done.results[name]["verdict"] == {"h": "healthy", "u": "unhealthy", "v": "unverified"}[verdict]


@pytest.mark.parametrize(
    "selection",
    [
        ("-k", "internal"),
        ("-k", "python or internal"),
        ("-k", "not variables"),
        ("-k", "python"),
        ("-k", "nothing_of_this_name"),
        ("--deselect", f"verify/run/test_checks.py::test_check[environment.python-told://{AT}]"),
    ],
)
def test_a_selection_of_checks_is_never_a_healthy_machine(lab: Lab, selection: tuple[str, str]) -> None:
    done = lab.verify(*selection, level="setup", entry="pytest")
    assert done.code == 2
    assert "COULD NOT BE VERIFIED" in said_of(AT, done.screen)
    assert done.results[AT]["verdict"] == "unverified"
    others = {done.results[name]["verdict"] for name in NAMES if name != AT}
    assert others == {"healthy" if selection[0] == "--deselect" else "unverified"}


def test_after_the_first_failure_with_x_nothing_is_said_of_the_rest(lab: Lab) -> None:
    spoil(lab, "huh")
    done = lab.verify("-x", level="setup", entry="pytest")
    assert done.code == 2
    assert [done.results[name]["verdict"] for name in NAMES] == ["healthy", "unverified", "unverified"]


def test_an_older_healthy_result_does_not_stand_for_a_run_that_fails(lab: Lab) -> None:
    assert lab.verify(level="setup").results[AT]["verdict"] == "healthy"
    lab.patch.setattr(files, "serialize", lab.here.planted(files.serialize, TypeError("planted")))
    done = lab.verify(level="setup")
    assert done.code == 2
    assert done.results[AT]["verdict"] == "unverified"


@pytest.mark.parametrize(
    ("hosts", "said"),
    [
        ("ssh://127.0.0.1:2201,ssh://127.0.0.1:2202", "more than once"),
        ("ssh://me@mac,ssh://you@mac", "more than once"),
        ("local://,local://", "more than once"),
        ("ssh://", "names no host"),
        (f"ssh://{'x' * 2000}", "cannot be called that"),
    ],
)
def test_hosts_that_would_hide_one_another_or_have_no_name_are_refused(
    hosts: str, said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert verify.main(["--hosts", hosts, "--results", str(tmp_path)]) == 2
    screen = "".join(capfd.readouterr())
    assert said in screen
    assert "Traceback" not in screen
    assert list(tmp_path.iterdir()) == []


def test_a_crash_of_a_command_is_2_and_not_unhealthy(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(_: list[str]) -> int:
        raise RuntimeError("planted")

    monkeypatch.setattr(command, "main", crash)
    assert verify.main(["report"]) == 2


class Full:
    """A disk that is full from some file on."""

    def __init__(self, write: Any, until: str) -> None:
        self._write, self._until, self.full = write, until, False

    def __call__(self, path: Path, content: bytes) -> None:
        self.full = self.full or path.name == self._until
        if self.full:
            raise FULL_DISK
        self._write(path, content)


def test_a_disk_that_is_full_before_hosts_are_looked_at(lab: Lab) -> None:
    lab.patch.setattr(files, "replace", Full(files.replace, files.file_name("mac-1", PROFILE)))
    done = lab.verify(level="setup")
    assert done.code == 2
    (line,) = [one for one in done.screen.splitlines() if one]
    assert "No result can be written" in line
    assert "No space left on device" in line


def test_a_disk_that_is_full_while_hosts_are_looked_at(lab: Lab) -> None:
    """mac-1 was written, the others were not: on the screen, in JUnit, and by what their files say."""
    at = lab.here
    write = files.replace

    def replace(path: Path, content: bytes) -> None:
        if at.host in ("mac-2", "mac-3"):
            raise FULL_DISK
        write(path, content)

    lab.patch.setattr(files, "replace", replace)
    lab.patch.setattr(page, "replace", replace)
    done = lab.verify(level="setup")
    assert done.code == 2
    assert "Traceback" not in done.screen
    assert "please report" not in done.screen
    assert done.results["mac-1"]["verdict"] == "healthy"
    for name in ("mac-2", "mac-3"):
        assert done.results[name]["verdict"] == "unverified"
        assert "COULD NOT BE VERIFIED" in said_of(name, done.screen)
    assert done.screen.count("its result could not be written: No space left on device") >= 2
    assert "The page could not be written" in done.screen


def test_a_healthy_result_that_cannot_be_taken_back_goes(lab: Lab) -> None:
    """Written as healthy, then not to be shown, and by then the disk is full."""
    host, write, over = view.host, files.replace, []

    def broken(stored: Any, *rest: Any) -> Any:
        if stored.data["host"] == AT:
            over.append(AT)
            raise IndexError("planted")
        return host(stored, *rest)

    def replace(path: Path, content: bytes) -> None:
        if over:
            raise FULL_DISK
        write(path, content)

    lab.patch.setattr(view, "host", broken)
    lab.patch.setattr(files, "replace", replace)
    done = lab.verify(level="setup")
    assert done.code == 2
    assert "COULD NOT BE VERIFIED" in said_of(AT, done.screen)
    assert done.results.keys() == {"mac-1", "mac-3"}
    assert f"{AT}.json" not in done.screen


@pytest.mark.parametrize("entry", ["command", "pytest"])
def test_a_disk_that_is_full_at_the_end(lab: Lab, entry: str) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise FULL_DISK

    lab.patch.setattr(page, "replace", full)
    lab.patch.setattr(LogXML, "pytest_sessionfinish", full)
    done = lab.verify(level="setup", entry=entry)
    assert done.code == 2
    assert "Traceback" not in done.screen
    for name in NAMES:
        assert "HEALTHY" in said_of(name, done.screen)
        assert done.results[name]["verdict"] == "healthy"
    assert "The page could not be written" in done.screen
    assert "junit.xml could not be written: No space left on device" in done.screen


SCRIPT = """
import functools, os, signal, sys
import pytest
from tests.verify import macs
from verify import __main__ as verify
from verify.profile import model as profiles

def answering(question):
    if sys.argv[1] == "kill" and question.probe == "environment":
        os.kill(os.getpid(), signal.SIGKILL)
    return macs.honest(mac, question)

mac = macs.Mac(profiles.load("ml-m1"))
honest = functools.partial(macs.honest, mac)
hosts = macs.connect(pytest.MonkeyPatch(), {"mac-1": honest, "mac-2": answering, "mac-3": honest})
sys.exit(verify.main(["--hosts", hosts, "--level", "setup", "--frameworks", "mlx", *sys.argv[2:]]))
"""


def outside(folder: Path, what: str, largest_file: int = resource.RLIM_INFINITY) -> tuple[int, str]:
    """A run in a process of its own, in which no file may be larger; returns its exit code and what it wrote."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, what, "--results", str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
        preexec_fn=functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (largest_file, largest_file)),
    )
    return done.returncode, done.stdout


def verdicts(folder: Path) -> dict[str, str]:
    found, refused = files.gather(folder)
    assert refused == []
    return {one.data["host"]: one.data["verdict"] for one in found}


def test_a_run_that_is_killed_tells_of_itself(tmp_path: Path) -> None:
    assert outside(tmp_path, "whole")[0] == 0
    assert set(verdicts(tmp_path).values()) == {"healthy"}
    code, _ = outside(tmp_path, "kill")
    assert code == -signal.SIGKILL
    assert verdicts(tmp_path) == {"mac-1": "healthy", "mac-2": "unverified", "mac-3": "unverified"}
    text = (tmp_path / "mac-2.ml-m1.json").read_text(encoding="utf-8")
    assert "the run that began then did not come to its end" in text
    assert verify.main(["report", "--results", str(tmp_path)]) == 0
    assert "2 of 3 machines could not be verified" in (tmp_path / page.FILE).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("largest", "said", "left"),
    [
        (100, "No result can be written to", {}),
        (3000, "its result could not be written: File too large", dict.fromkeys(NAMES, "unverified")),
        (20_000, "The page could not be written", dict.fromkeys(NAMES, "healthy")),
    ],
)
def test_files_that_cannot_grow(tmp_path: Path, largest: int, said: str, left: dict[str, str]) -> None:
    """As on a full disk, and for real: the kernel refuses to write."""
    code, screen = outside(tmp_path, "whole", largest)
    assert code == 2
    assert said in screen
    assert "Traceback" not in screen
    assert verdicts(tmp_path) == left
    # Nothing half written is left behind.
    assert [one.name for one in tmp_path.rglob(".*")] == []
