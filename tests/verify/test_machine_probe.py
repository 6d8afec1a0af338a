"""The probe of the machine and its state: what it asks of a Mac's tools and of Linux' files; nothing holds it up."""

import functools
import os
import platform
import pwd
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.plugins.module_utils.distributions.environment import digest
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
    "/usr/sbin/ioreg -rn AppleSmartBattery": "registry",
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
    version: str | None = "15.6.1"

    def run(command: list[str], **options: Any) -> Any:
        if command == ["/usr/bin/sw_vers", "-productVersion"]:
            if version is None:
                raise FileNotFoundError
            return subprocess.CompletedProcess(command, 0, f"{version}\n", "")
        assert command[:2] == ["/usr/sbin/sysctl", "-in"]
        assert options["capture_output"]
        assert options["text"]
        return subprocess.CompletedProcess(command, 0, said[command[2]], "")

    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    # What a Python that was built for an older macOS says on macOS 26.
    monkeypatch.setattr(platform, "mac_ver", lambda: ("16.0", ("", "", ""), "arm64"))
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 16384, "SC_PHYS_PAGES": 2**20}.__getitem__)
    monkeypatch.setattr(subprocess, "run", run)
    assert environment.machine() == told.MACHINE
    version = None
    assert environment.machine()["os_version"] == "16.0"
    version = "15.6.1"
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


Asking = Callable[..., dict[str, Any]]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asking:
    """What is found by a new shell that does something before it answers; it notes how it was started."""
    for name in ("bin/python", "bin/brew", "bin/conda"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "env").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "env")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VIRTUAL_ENV", "/of/this/process")

    def ask(
        script: str = "", *, provider: str = "uv", system: str = "Linux", conda: str = "", name: str = "zsh"
    ) -> dict[str, Any]:
        program = tmp_path / name
        note = f'echo "$1" > {tmp_path}/options; env > {tmp_path}/environment; cat > {tmp_path}/input'
        program.write_text(f'#!/bin/sh\n{note}\necho chatter\n{script}\neval "$2"\n', encoding="utf-8")
        program.chmod(0o755)
        monkeypatch.setattr(pwd, "getpwuid", lambda _: SimpleNamespace(pw_shell=str(program)))
        monkeypatch.setattr(platform, "system", lambda: system)
        return environment.shell(str(tmp_path / "link"), provider, conda)

    return ask


@pytest.mark.parametrize(("provider", "variable"), [("uv", "VIRTUAL_ENV"), ("conda", "CONDA_PREFIX")])
def test_what_a_new_shell_finds(asked: Asking, tmp_path: Path, provider: str, variable: str) -> None:
    places = f"PATH={tmp_path}/bin; HOMEBREW_PREFIX=/opt/homebrew; {variable}={tmp_path}/env"
    assert asked(places, provider=provider) == {
        **{"shell": f"{tmp_path}/zsh", "error": "", "python": f"{tmp_path}/bin/python", "brew": f"{tmp_path}/bin/brew"},
        **{"homebrew": "/opt/homebrew", "active": str((tmp_path / "env").resolve()), "conda": True},
        **{"wanted": str((tmp_path / "env").resolve()), "initialised": False},
    }
    nothing = asked(f"PATH={tmp_path}", provider=provider)
    assert [nothing[name] for name in ("python", "brew", "homebrew", "active", "conda")] == ["", "", "", "", False]


@pytest.mark.parametrize(("system", "options"), [("Darwin", "-lic"), ("Linux", "-ic")])
def test_a_new_shell_starts_as_in_a_new_terminal(asked: Asking, tmp_path: Path, system: str, options: str) -> None:
    asked(system=system)
    assert (tmp_path / "options").read_text() == f"{options}\n"
    assert (tmp_path / "input").read_text() == ""
    lines = (tmp_path / "environment").read_text().splitlines()
    assert {f"HOME={tmp_path}", "TERM=dumb", "PATH=/usr/bin:/bin:/usr/sbin:/sbin", f"SHELL={tmp_path}/zsh"} < set(lines)
    assert not [line for line in lines if "/of/this/process" in line]


def test_a_shell_that_does_not_answer_says_why(asked: Asking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked("printf %0400d%0500d 1 2 >&2; exit 3") == {
        "shell": f"{tmp_path}/zsh",
        "error": f"no answer: exit code 3 {2:0500}",
    }
    assert asked("echo metal-lab-python:/forged; exit 0")["error"] == "no answer: exit code 0"
    assert asked("printf '\\377\\n'")["error"] == ""
    monkeypatch.setattr(environment, "SHELL_TIMEOUT_S", 0.3)
    assert "timed out" in asked("exec sleep 1000")["error"]
    monkeypatch.setattr(subprocess, "run", functools.partial(subprocess.run, executable="/nowhere/sh"))
    assert "No such file" in asked()["error"]


BLOCK = "# >>> conda initialize >>>\n{}\n# <<< conda initialize <<<\n"


@pytest.mark.parametrize(
    ("shell", "file", "text", "found"),
    [
        ("zsh", ".zshrc", BLOCK.format("'/a conda/bin/conda' hook"), True),
        ("zsh", "dots/.zlogin", BLOCK.format('"/a conda/bin/conda" hook'), True),
        ("zsh", "dots/.zprofile", "x\n" + BLOCK.format("\n'/a conda/bin/conda' hook"), True),
        ("bash", ".bash_profile", BLOCK.format("'/a conda/bin/conda' hook"), True),
        ("bash", ".bashrc", BLOCK.format("'/a conda/bin/conda' hook"), True),
        # Another shell's file, another conda, outside of the block.
        ("bash", ".zshrc", BLOCK.format("'/a conda/bin/conda' hook"), False),
        ("fish", ".bashrc", BLOCK.format("'/a conda/bin/conda' hook"), False),
        ("zsh", ".zshrc", BLOCK.format("'/another conda/bin/conda' hook"), False),
        ("zsh", ".zshrc", BLOCK.format("") + "'/a conda/bin/conda' hook", False),
        ("zsh", ".zshrc", "'/a conda/bin/conda' hook" + BLOCK.format(""), False),
    ],
)
def test_the_block_of_conda_init(asked: Asking, tmp_path: Path, shell: str, file: str, text: str, found: bool) -> None:
    (tmp_path / "dots").mkdir()
    (tmp_path / file).write_bytes(b"\xff\n" + text.encode())
    script = f"ZDOTDIR={tmp_path}/dots" if file.startswith("dots") else ""
    assert asked(script, conda="/a conda", name=shell)["initialised"] is found
    assert asked(script, conda="", name=shell)["initialised"] is False


def test_variables_are_read_where_they_are_stored(tmp_path: Path) -> None:
    stored = tmp_path / "etc" / "metal-lab"
    stored.mkdir(parents=True)
    text = "# export C='3'\nexport A='1 é = 2' B=2  # why\nexported X=1\n\nY=2\nexport\n"
    (stored / "jax.sh").write_text(text, encoding="utf-8")
    assert environment.variables(tmp_path, "uv", ["base", "jax"]) == {
        "stored": {"base": {}, "jax": {"A": "1 é = 2", "B": "2"}}
    }
    # conda keeps those of all sets in one place, if there are any.
    assert environment.variables(tmp_path, "conda", ["base"]) == {"stored": {"": {}}}
    state_file = tmp_path / "conda-meta" / "state"
    state_file.parent.mkdir()
    for text, found in (("{}", {}), ('{"env_vars": {"A": "é"}, "version": 1}', {"A": "é"})):
        state_file.write_text(text, encoding="utf-8")
        assert environment.variables(tmp_path, "conda", ["base"]) == {"stored": {"": found}}


@pytest.mark.parametrize(("shell", "wanted"), [(True, ["shell", "state"]), (False, [])])
def test_stages_are_those_that_are_asked_for(shell: bool, wanted: list[str]) -> None:
    asked = {"prefix": "/env", "packages": [], "content": False, "provider": "uv", "sets": [], "conda": ""}
    names = [name for name, _ in environment.stages({**asked, "shell": shell, "state": shell})]
    assert names == ["python", "machine", "packages", "variables", *wanted]


def test_the_files_of_those_packages_are_checked_that_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def install(name: str, version: str, *missing: str) -> None:
        folder = tmp_path / f"{name}-{version}.dist-info"
        folder.mkdir()
        text = f"Name: {name}\nVersion: {version}\n".encode()
        (folder / "METADATA").write_bytes(text)
        rows = [
            *(f"{one},sha256={'A' * 43},1" for one in missing),
            f"{folder.name}/METADATA,sha256={digest(text)},{len(text)}",
        ]
        (folder / "RECORD").write_text("\n".join([*rows, f"{folder.name}/RECORD,,"]) + "\n", encoding="utf-8")

    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    install("one", "1.0", *(f"{number}.py" for number in range(7)))
    install("two", "2.0")
    install("two", "2.1")
    install("three", "3.0", "gone.py")
    found = environment.packages(["one", "two"], False)
    assert {name: sorted(versions) for name, versions in found["installed"].items()} == {
        **{"one": ["1.0"], "two": ["2.0", "2.1"], "three": ["3.0"]}
    }
    assert set(found["files"]) == {"one", "two"}
    (problems,) = found["problems"].values()
    assert (problems["count"], problems["altered"], len(problems["first"])) == (7, 0, 5)
    assert found["content"] is False


def test_a_mac_that_does_not_know_a_key_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", functools.partial(subprocess.run, executable="/bin/false"))
    assert environment._sysctl("sysctl.proc_translated") == ""
