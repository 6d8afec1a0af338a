"""The probe of the machine and its state: what it asks of a Mac's tools and of Linux' files; nothing holds it up."""

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.verify import told
from verify import documents
from verify.checks import state as state_check
from verify.checks.health import ENVIRONMENT_TIMEOUT_S
from verify.probes import environment, state
from verify.target import answers

SAYS = {
    "/usr/bin/pmset -g batt": "battery",
    "/usr/bin/pmset -g": "power",
    "/usr/bin/notifyutil -g com.apple.system.thermalpressurelevel": "thermal",
    "/usr/bin/memory_pressure -Q": "memory",
    "/usr/sbin/sysctl -n kern.memorystatus_vm_pressure_level": "pressure",
    "/usr/sbin/sysctl -n vm.swapusage": "swap",
    "/usr/sbin/sysctl -n iogpu.wired_limit_mb": "wired",
    "/usr/sbin/sysctl -n kern.hv_vmm_present": "virtual",
    "/usr/sbin/sysctl -n kern.boottime": "boot",
    "/usr/sbin/system_profiler SPDisplaysDataType -json": "gpu",
    "/usr/sbin/sysctl -n hw.model": "model",
}
"""What a Mac's tools understand, by what they then say (tests/verify/told.py)."""


def test_a_mac_is_asked_by_its_own_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **_: Any) -> Any:
        said = SAYS.get(" ".join(command))
        return subprocess.CompletedProcess(command, 0 if said else 1, told.SAID[said] if said else "usage", "")

    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(os, "getloadavg", lambda: (1.5, 2.5, 3.5))
    found = documents.check(state.state(), answers.SCHEMA, "environment.state")
    assert (found["said"], found["files"], found["load"]) == (told.SAID, {}, 1.5)
    assert state_check.read(found).power_source == "ac"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("printf said; printf more >&2", "said"),
        ("printf said; exit 3", ""),
        # One language, and all else as it is.
        ('printf %s "$LC_ALL $HERE"', "C é"),
        ("printf 'a\\377b'", "a\N{REPLACEMENT CHARACTER}b"),
        ("printf %0100001d 0", "0" * 100000),
    ],
)
def test_what_a_tool_says(monkeypatch: pytest.MonkeyPatch, script: str, said: str) -> None:
    monkeypatch.setenv("LC_ALL", "pt_BR.UTF-8")
    monkeypatch.setenv("HERE", "é")
    assert state._said(["/bin/sh", "-c", script]) == said


def test_a_tool_that_is_missing_or_hangs_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert state._said(["/nowhere/tool"]) == ""
    # All may hang, and the probe still has time to say so.
    assert len(state.COMMANDS) * state.TOOL_TIMEOUT_S < ENVIRONMENT_TIMEOUT_S
    monkeypatch.setattr(state, "TOOL_TIMEOUT_S", 0.05)
    assert state._said(["/bin/sleep", "1000"]) == ""


def test_linux_is_asked_by_its_files(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {
        "/proc/meminfo": "MemTotal: 1 kB",
        "/proc/uptime": "7200.50 1.0",
        # As long as that of a machine with many cores.
        "/proc/cpuinfo": "x" * 30000,
        "/sys/class/power_supply/A/online": "1",
        "/sys/class/power_supply/B/online": "0",
    }

    def read_text(path: Path, **_: Any) -> str:
        if str(path) not in texts:
            raise PermissionError(str(path))
        return texts[str(path)]

    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(Path, "read_text", read_text)
    monkeypatch.setattr(Path, "glob", lambda path, pattern: [path / pattern.replace("*", one) for one in "BA"])
    found = state.state()
    assert found["said"] == {}
    assert found["files"] == {**texts, "/proc/cpuinfo": "x" * 20000}
    assert list(found["files"]) == list(texts)


def test_a_macs_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"machdep.cpu.brand_string": "Apple M1\n", "sysctl.proc_translated": "0\n"}

    def run(command: list[str], **options: Any) -> Any:
        assert command[:2] == ["/usr/sbin/sysctl", "-in"]
        assert options["capture_output"]
        assert options["text"]
        return subprocess.CompletedProcess(command, 0, said[command[2]], "")

    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    monkeypatch.setattr(platform, "mac_ver", lambda: ("15.6.1", ("", "", ""), "arm64"))
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 16384, "SC_PHYS_PAGES": 2**20}.__getitem__)
    monkeypatch.setattr(subprocess, "run", run)
    assert environment.machine() == told.MACHINE
    said["sysctl.proc_translated"] = "1\n"
    assert environment.machine()["translated"]
    assert environment.python("/")["translated"]
    # An Intel Mac does not know the key.
    said["sysctl.proc_translated"] = ""
    assert not environment.machine()["translated"]


@pytest.mark.parametrize(
    ("cpuinfo", "cpu"),
    [
        ("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nmodel name\t: other\n", "Some CPU @ 2 GHz"),
        ("processor\t: 0\n", "aarch64"),
        (None, "aarch64"),
    ],
)
def test_the_cpu_of_a_linux_machine(monkeypatch: pytest.MonkeyPatch, cpuinfo: str | None, cpu: str) -> None:
    def read_text(path: Path, **_: Any) -> str:
        assert path == Path("/proc/cpuinfo")
        if cpuinfo is None:
            raise PermissionError
        return cpuinfo

    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(Path, "read_text", read_text)
    found = environment.machine()
    assert (found["cpu"], found["machine"], found["translated"]) == (cpu, "aarch64", False)
