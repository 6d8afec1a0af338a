"""What a terminal has set for other work has no effect on `python -m verify`, or is one sentence."""

import os
import re
import shlex
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest
from uv import find_uv_bin

from tests.test_target_python import FIRST
from verify import ROOT
from verify import __main__ as verify
from verify.errors import UserError

SPITEFUL = {
    "PYTHONOPTIMIZE": "2",
    "PYTHONWARNINGS": "error",
    "PYTHONSTARTUP": "/nowhere",
    "PYTHONDEVMODE": "1",
    "PYTHONVERBOSE": "0",
    "PYTHONINSPECT": "1",
    "PYTHONIOENCODING": "ascii",
    "PYTHONUSERBASE": "/nowhere",
    "PYTHONBREAKPOINT": "os.abort",
    "PYTEST_ADDOPTS": "--collect-only",
    "PYTEST_PLUGINS": "nowhere",
    "ANSIBLE_CONFIG": "/nowhere",
    "ANSIBLE_INVENTORY": "/nowhere",
    "ANSIBLE_STRATEGY": "nowhere",
    "UV_CONFIG_FILE": "/nowhere",
    "PIP_CONFIG_FILE": "/nowhere",
    "CONDA_PREFIX": "/nowhere",
    "GIT_DIR": "/nowhere",
    "CDPATH": "/",
    "IFS": "/",
    "BASH_ENV": "/nowhere",
    "LC_ALL": "tr_TR.UTF-8",
    "XDG_CONFIG_HOME": "nowhere",
    "TMPDIR": "/nowhere",
}

AS_MAIN = "import runpy; runpy.run_module('verify', run_name='__main__', alter_sys=True)"


def run(folder: Path, **given: str) -> tuple[int, str]:
    """Exit code and output, without times, of a check of this machine in a home where nothing is."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8", **given}
    line = [sys.executable, "-m", "verify", "--level", "setup", "--results", str(folder / "results")]
    done = subprocess.run(
        line,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, re.sub(r"\d+(\.\d+)? s\b", "", done.stdout + done.stderr)


def test_a_terminals_settings_change_nothing(tmp_path: Path) -> None:
    clean = run(tmp_path)
    assert clean[0] in (1, 2)
    (tmp_path / "shadow").mkdir()
    for name in ("json", "yaml", "pytest", "jinja2"):
        (tmp_path / "shadow" / f"{name}.py").write_text("raise SystemExit(0)\n", encoding="utf-8")
    assert run(tmp_path, **SPITEFUL, PYTHONPATH=str(tmp_path / "shadow")) == clean


def test_a_strangers_settings_of_ansible_reach_no_machine(tmp_path: Path) -> None:
    """testinfra takes them from variables and from an ansible.cfg: what ssh runs would be anybody's."""
    asked = tmp_path / "asked"
    for name, content in (
        ("ssh", f'#!/bin/sh\necho "$@" >>{asked}\nexit 255\n'),
        ("ansible.cfg", "[ssh_connection]\nssh_args = -F theirs\n[defaults]\nremote_user = theirs\n"),
        ("hosts.yml", "all: {hosts: {lab-07: {ansible_host: 192.0.2.7, ansible_user: ana}}}\n"),
    ):
        (tmp_path / name).write_text(content, encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    for given in ({}, {"ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg"), "ANSIBLE_SSH_EXTRA_ARGS": "-F theirs"}):
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path), **given}
        hosts = ["--level", "setup", "--hosts", "ansible://all?ansible_inventory=hosts.yml", "--results", "results"]
        line = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{AS_MAIN}", *hosts]
        done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert "lab-07" in done.stdout, done.stdout + done.stderr
    said = asked.read_text(encoding="utf-8")
    assert "ana" in said
    assert "theirs" not in said


@pytest.mark.parametrize("home", ["", "here", "/tmp\nhealthy"])  # noqa: S108 - no file is made there
def test_a_home_that_is_none_is_said(tmp_path: Path, home: str) -> None:
    code, said = run(tmp_path, HOME=home)
    assert code == 2
    assert said.startswith(f"verify: HOME is {home!r}. Needed: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--help"], ["--level", "setup", "--no-page"], ["compare", "--help"]])
@pytest.mark.parametrize(
    ("output", "why"),
    [(">&-", "stdout is closed"), (">/dev/full", "No space left on device"), ("| true", "Broken pipe")],
)
def test_what_could_not_be_told_is_no_healthy_and_no_unhealthy_machine(
    tmp_path: Path, arguments: list[str], output: str, why: str
) -> None:
    line = shlex.join([sys.executable, "-m", "verify", *arguments])
    if arguments[0] == "--level":
        line += f" --results {shlex.quote(str(tmp_path))}"
    # Of what stands before a bar, sh has no exit code.
    script = f"{{ sleep 0.2; {line}; echo code $? >&2; }} {output}"
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(["sh", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-2:] == [f"verify: what it says could not be written: {why}", "code 2"]
    assert done.stdout == ""


def test_a_python_without_what_the_project_needs_is_said(tmp_path: Path) -> None:
    python = tmp_path / "env" / "bin" / "python"
    make = [find_uv_bin(), "venv", "-q", "--no-project", "-p", sys.executable, str(tmp_path / "env")]
    subprocess.run(make, check=True)
    done = subprocess.run([python, "-m", "verify"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"verify: {python} has no pytest. "
        f"Run {ROOT}/.venv/bin/python -m verify instead: ./converge makes that Python.\n"
    )


def test_a_python_that_is_too_old_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is started anew with an option that it does not know."""
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("it was started anew"))
    monkeypatch.setattr(verify, "LEAST", (99, 1))
    with pytest.raises(UserError, match=r"is Python \d\S+; needed is 99\.1\. Run .* instead: \./converge makes that"):
        verify.start_clean()


def test_what_says_that_a_python_is_too_old_runs_on_old_ones() -> None:
    code = "import sys, verify.__main__\nfor name, one in sys.modules.items():\n"
    code += "    if name.partition('.')[0] == 'verify': print(one.__file__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {Path(one).name for one in done.stdout.split()} == {one.name for one in FIRST}


def test_the_oldest_python_is_the_projects_own() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"].startswith(f">={verify.LEAST[0]}.{verify.LEAST[1]},")


def test_what_is_installed_for_the_user_alone_is_found(tmp_path: Path) -> None:
    """As by `pip install --user`: there is no virtual environment then."""
    site = Path(sysconfig.get_path("purelib"))
    user = tmp_path / ".local" / site.relative_to(site.parents[2])
    user.parent.mkdir(parents=True)
    user.symlink_to(site)
    python = Path(sys.executable).resolve()
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [python, "-m", "verify", "--help"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
