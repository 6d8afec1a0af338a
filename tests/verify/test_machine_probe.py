"""The probe of the machine and its state: what it asks of a Mac's tools and of Linux' files; nothing holds it up."""

import functools
import json
import os
import platform
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from tests.plugins.module_utils.distributions.environment import digest
from tests.verify import told
from verify import documents
from verify.checks import state as state_check
from verify.checks.health import ENVIRONMENT_TIMEOUT_S
from verify.probes import environment, state, terminal
from verify.probes.terminal import Terminal
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

    def run(command: list[str], **options: Any) -> Any:
        assert options["capture_output"]
        assert options["text"]
        assert (options["env"]["LC_ALL"], options["env"]["SYSTEM_VERSION_COMPAT"]) == ("C", "0")
        if command == ["/usr/bin/sw_vers", "-productVersion"]:
            return subprocess.CompletedProcess(command, 0, "15.6.1\n", "")
        assert command[:2] == ["/usr/sbin/sysctl", "-in"]
        return subprocess.CompletedProcess(command, 0, said[command[2]], "")

    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
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


@pytest.fixture
def env(tmp_path: Path) -> Path:
    """An environment, by a link to it."""
    (tmp_path / "env").mkdir()
    (tmp_path / "link").symlink_to("env")
    return tmp_path / "link"


def says(monkeypatch: pytest.MonkeyPatch, **said: Any) -> None:
    """Have a new terminal say this."""
    monkeypatch.setattr(terminal, "ask", lambda: Terminal("/bin/zsh", **{"error": "", "kind": "zsh", **said}))


@pytest.mark.parametrize(("provider", "variable"), [("uv", "VIRTUAL_ENV"), ("conda", "CONDA_PREFIX")])
def test_what_a_new_terminal_has(env: Path, monkeypatch: pytest.MonkeyPatch, provider: str, variable: str) -> None:
    values = {"HOMEBREW_PREFIX": "/opt/homebrew", variable: str(env)}
    says(monkeypatch, python="/p", prefix=str(env.resolve()), brew="/b", conda="conda", variables=values)
    assert environment.shell(str(env), provider, "") == {
        **{"shell": "/bin/zsh", "error": "", "python": "/p", "prefix": str(env.resolve()), "brew": "/b"},
        **{"homebrew": "/opt/homebrew", "active": str(env.resolve()), "conda": True},
        **{"wanted": str(env.resolve()), "initialised": False},
    }
    says(monkeypatch)
    nothing = environment.shell(str(env), provider, "")
    assert [nothing[name] for name in ("python", "prefix", "brew", "homebrew", "active")] == [""] * 5
    assert nothing["conda"] is False


def test_a_terminal_that_does_not_answer_says_why(env: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    says(monkeypatch, error="it hangs")
    assert environment.shell(str(env), "uv", "") == {"shell": "/bin/zsh", "error": "it hangs"}


BLOCK = "# >>> conda initialize >>>\n{}\n# <<< conda initialize <<<\n"


@pytest.mark.parametrize(
    ("shell", "file", "text", "found"),
    [
        ("zsh", ".zshrc", BLOCK.format("'/a conda/bin/conda' hook"), True),
        ("zsh", "dots/.zlogin", BLOCK.format('"/a conda/bin/conda" hook'), True),
        ("zsh", "dots/.zprofile", "x\n" + BLOCK.format("\n'/a conda/bin/conda' hook"), True),
        ("bash", ".bash_profile", BLOCK.format("'/a conda/bin/conda' hook"), True),
        ("bash", ".bashrc", BLOCK.format("'/a conda/bin/conda' hook"), True),
        ("bash", ".profile", BLOCK.format("'/b/bin/conda'") + BLOCK.format("'/a conda/bin/conda'"), True),
        # Another shell's file, another conda, outside of the block.
        ("bash", ".zshrc", BLOCK.format("'/a conda/bin/conda' hook"), False),
        ("", ".bashrc", BLOCK.format("'/a conda/bin/conda' hook"), False),
        ("zsh", ".zshrc", BLOCK.format("'/another conda/bin/conda' hook"), False),
        ("zsh", ".zshrc", BLOCK.format("") + "'/a conda/bin/conda' hook", False),
        ("zsh", ".zshrc", "'/a conda/bin/conda' hook" + BLOCK.format(""), False),
    ],
)
def test_the_block_of_conda_init(
    env: Path, monkeypatch: pytest.MonkeyPatch, shell: str, file: str, text: str, found: bool
) -> None:
    home = env.parent
    monkeypatch.setenv("HOME", str(home))
    (home / "dots").mkdir()
    (home / file).write_bytes(b"\xff\n" + text.encode())
    says(monkeypatch, kind=shell, zdotdir=str(home / "dots") if file.startswith("dots") else "")
    assert environment.shell(str(env), "conda", "/a conda")["initialised"] is found
    assert environment.shell(str(env), "conda", "")["initialised"] is False


def test_a_conda_that_the_user_has_in_another_way(env: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(env))
    (env / ".zshrc").write_text(". /c/etc/profile.d/conda.sh\n")
    for program, conda, found in (("/c", "conda", True), ("/b", "conda", False), ("/c", "", False)):
        says(monkeypatch, conda=conda, variables={"CONDA_EXE": f"{program}/bin/conda"})
        assert environment.shell(str(env), "conda", "/c")["initialised"] is found


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


@pytest.mark.parametrize(("place", "wanted"), [("/env", ["shell", "state"]), ("", [])])
def test_stages_are_those_that_are_asked_for(place: str, wanted: list[str]) -> None:
    asked = {"prefix": "/env", "packages": [], "content": False, "provider": "uv", "sets": [], "conda": ""}
    names = [name for name, _ in environment.stages({**asked, "terminal": place, "state": bool(place)})]
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


@pytest.mark.parametrize(
    ("wheel", "releases"),
    [
        ("Tag: cp311-cp311-macosx_14_0_arm64\n", ["14.0"]),
        (
            "Wheel-Version: 1.0\nTag: cp311-none-macosx_11_0_universal2\r\nTag: cp311-none-macosx_26_0_arm64",
            ["11.0", "26.0"],
        ),
        ("Tag: py3-none-macosx_10_9_x86_64\n", []),
        ("Tag: py3-none-any\n", []),
        ("X-Tag: cp311-cp311-macosx_14_0_arm64\n", []),
        (
            "".join(f"Tag: py3-none-macosx_{number}_0_arm64\n" for number in range(10, 99)),
            [f"{n}.0" for n in range(10, 30)],
        ),
        ("Tag: py3-none-macosx_99999_0_arm64\n", []),
        ("x" * 70_000 + "\nTag: py3-none-macosx_14_0_arm64\n", []),
        ("", []),
    ],
)
def test_the_macos_of_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wheel: str, releases: list[str]) -> None:
    folder = tmp_path / "one-1.0.dist-info"
    folder.mkdir()
    if wheel:
        (folder / "WHEEL").write_text(wheel, encoding="utf-8", newline="")
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert environment.packages(["one"], False)["releases"] == ({"one": releases} if releases else {})
    assert environment.packages([], False)["releases"] == {}


def test_a_mac_that_does_not_know_a_key_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", functools.partial(subprocess.run, executable="/bin/false"))
    assert environment._sysctl("sysctl.proc_translated") == ""


@pytest.mark.parametrize(
    ("state", "values"),
    [
        # `conda env config vars unset` leaves the first; an environment.yml may have numbers.
        ({"env_vars": {"GONE": "***unset***", "KEPT": "a b"}}, {"KEPT": "a b"}),
        ({"env_vars": {"NUMBER": 1, "TRUTH": True}}, {"NUMBER": "1", "TRUTH": "True"}),
        ({"version": 1}, {}),
    ],
)
def test_what_conda_keeps_with_an_environment(tmp_path: Path, state: Any, values: dict[str, str]) -> None:
    (tmp_path / "conda-meta").mkdir()
    (tmp_path / "conda-meta" / "state").write_text(json.dumps(state), encoding="utf-8")
    assert environment.variables(tmp_path, "conda", []) == {"stored": {"": values}}


@pytest.mark.parametrize(
    ("folder", "content", "found"),
    [
        ("whole-1.0.dist-info", b"Name: whole\nVersion: 1.0\n", ["1.0"]),
        # As pip leaves it on Windows or a network's disk, with its METADATA.
        ("~hole-1.0.dist-info", b"Name: whole\nVersion: 1.0\n", None),
        ("whole-1.0.dist-info", b"Name: whole\nVersion: 1.0\nAuthor: \xff\n", None),
        ("whole-1.0.dist-info", b"", None),
        ("whole-1.0.dist-info", None, None),
    ],
)
def test_what_is_damaged_or_half_gone_is_no_package_and_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, content: bytes | None, found: list[str] | None
) -> None:
    (tmp_path / folder).mkdir()
    if content is not None:
        (tmp_path / folder / "METADATA").write_bytes(content)
    monkeypatch.syspath_prepend(tmp_path)
    installed = environment.packages([], content=False, everywhere=True)["installed"]
    assert installed.get("whole") == found
    assert "pytest" in installed
