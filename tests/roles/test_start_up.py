"""Start-up files as people have them, for zsh and bash on a pseudo-terminal: docs/shells.md has them as a table."""

import os
import pty
import pwd
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.metal_lab.macs.plugins.module_utils import terminal as collections_terminal
from ansible_collections.metal_lab.macs.plugins.modules import shell_block

from tests.helpers.plugins import run_module
from tests.helpers.start_up import ARRANGEMENTS, DOCUMENT, IN, LEFT, MAIN, NONE, SHELLS, SILENT, Arrangement, document
from verify import ROOT
from verify.checks import shell as shell_check
from verify.probes import environment, terminal
from verify.target.record import Record

CONDA = """#!/bin/sh
case "$1 $2" in
    shell.*" hook") cat ROOT/etc/profile.d/conda.sh; echo 'conda activate base' ;;
    "shell.posix activate")
        case ${3-base} in base) place=ROOT ;; /*) place=$3 ;; *) place=ROOT/envs/$3 ;; esac
        echo "export CONDA_PREFIX='$place'; export PATH='$place/bin':\\"\\$PATH\\"" ;;
    *) exit 2 ;;
esac
"""
"""As far as shells ask it (recorded in molecule/mac/standins/conda_standin.py, `shell`)."""
LIMIT_S, SHORT_S = 20, 1
"""For a terminal; and where start-up files never come to an end."""


def make_python(prefix: Path) -> None:
    """A Python whose prefix this is, as the standard library's venv makes one."""
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python").symlink_to(sys.executable)
    (prefix / "pyvenv.cfg").write_text(f"home = {Path(sys.executable).resolve().parent}\n")


def typed(shell: str, home: Path, seconds: float) -> str:
    """What a person sees who opens a terminal and types: the last part of the prefix of `python`."""
    sockets = home.parent / "sockets"
    sockets.mkdir()
    environment = {"HOME": str(home), "TERM": "xterm-256color", "PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "SHELL": shell}
    environment.update(HISTFILE="/dev/null", TMUX_TMPDIR=str(sockets))
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(home)
        os.execve(shell, [f"-{Path(shell).name}"], environment)  # noqa: S606 (a shell it is)
    line = "python -c 'import os, sys; print(\"<\" + os.path.basename(sys.prefix) + \">\")' || echo '<'none'>'\r"
    seen, started, quiet_since, lines = b"", time.monotonic(), time.monotonic(), 0
    try:
        while time.monotonic() < started + seconds:
            if select.select([master], [], [], 0.05)[0]:
                try:
                    seen += os.read(master, 65536)
                except OSError:
                    break
                if seen.endswith(b"\x1b[6n"):
                    os.write(master, b"\x1b[1;1R")
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since > 0.3 and not lines:
                os.write(master, line.encode())
                lines += 1
            found = re.findall(rb"<(\w+)>", re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", seen))
            if found:
                return str(found[-1].decode())
        return SILENT
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.close(master)
        os.waitpid(pid, 0)
        subprocess.run(["tmux", "kill-server"], env=environment, capture_output=True, check=False)
        shutil.rmtree(sockets)


class Machine:
    """A user with a login shell, start-up files, a conda with our environment, and another Python."""

    def __init__(self, folder: Path, shell: str, one: Arrangement) -> None:
        self.home, self.shell = folder / "home", shutil.which(shell) or f"/bin/{shell}"
        self.env, conda = self.home / "conda" / "envs" / "env", self.home / "conda"
        for place in (conda, self.env, self.home / "other"):
            make_python(place)
        (conda / "bin" / "conda").write_text(CONDA.replace("ROOT", str(conda)))
        (conda / "bin" / "conda").chmod(0o755)
        hook = conda / "etc" / "profile.d" / "conda.sh"
        hook.parent.mkdir(parents=True)
        text = (ROOT / "molecule" / "mac" / "standins" / "conda.sh").read_text(encoding="utf-8")
        hook.write_text(text.replace("@ROOT@", str(conda)))
        parts = self.env / "etc" / "metal-lab"
        parts.mkdir(parents=True)
        # As conda_env makes it (tests/plugins/modules/conda_env holds it to that).
        activation = f"command -v __conda_activate >/dev/null 2>&1 || \\. {hook}\n\\conda activate {self.env}\n"
        (parts / "00-env.sh").write_text(activation)
        (parts / "mlx.sh").write_text("export OURS=1\n")
        self.block = self._block()
        begin, end = shell_block.markers("ml-m1")
        main = MAIN[shell]
        for name, content in one.of(shell, str(self.home), f"{begin}\n{self.block}{end}\n").items():
            place = self.home / name
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(content)
        for name, leads in one.links.items():
            (self.home / name.replace("MAIN", main)).symlink_to(leads)
        for name, mode in one.modes.items():
            (self.home / name.replace("MAIN", main)).chmod(mode)
        self.record = self.home / ".local/share/metal-lab/ml-m1.json"
        self.record.parent.mkdir(parents=True)
        text = f'{{"schema": 1, "profile": "ml-m1", "provider": "conda", "prefix": "{self.env}"}}'
        self.record.write_text(text)

    def _block(self) -> str:
        """The role's."""
        file = str(ROOT / "roles" / "shell_profile" / "vars" / "main.yml")
        loader = DataLoader()
        variables = loader.load_from_file(file, trusted_as_template=True)
        templar = Templar(loader=loader, variables={**variables, "shell_profile_env": {"prefix": str(self.env)}})
        return str(templar.template(variables["__shell_profile_block"]))

    def run(self, **options: Any) -> dict[str, Any]:
        """The module, as the role calls it."""
        zdotdir = self.home / "dots" if (self.home / ".zshenv").exists() else ""
        return run_module(
            shell_block.main,
            {
                **{"shell": Path(self.shell).name, "zdotdir": str(zdotdir), "profile": "ml-m1", "block": self.block},
                **{"prefix": str(self.env), "activations": [str(self.env), "env"], **options},
            },
        )

    def verdict(self) -> tuple[str, str]:
        """What verify says of new terminals."""
        record = Record("ml-m1", "conda", str(self.env), (), "its file")
        found = shell_check.judge(record, environment.shell(str(self.env), "conda", ""))[-1]
        return found.result, found.message

    def files(self) -> dict[str, tuple[int, bytes | str]]:
        """All that is in the home, but the record."""
        found: dict[str, tuple[int, bytes | str]] = {}
        for path in sorted(self.home.rglob("*")):
            if path.is_symlink():
                found[str(path)] = (0, str(path.readlink()))
            elif path.is_file() and path != self.record:
                found[str(path)] = (path.stat().st_mode, path.read_bytes())
        return found


@pytest.fixture
def machine(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    shell, name = request.param
    made = Machine(tmp_path, shell, ARRANGEMENTS[name])
    user = SimpleNamespace(pw_shell=made.shell, pw_dir=str(made.home))
    monkeypatch.setattr(pwd, "getpwuid", lambda _: user)
    # One file, which is verify's and the collection's (a link).
    for one in (terminal, collections_terminal):
        monkeypatch.setattr(one, "is_login", lambda: True)
        if ARRANGEMENTS[name].outcome == SILENT:
            monkeypatch.setattr(one.ask, "__defaults__", (float(SHORT_S),))
    monkeypatch.setenv("HOME", str(made.home))
    for variable in ("ZDOTDIR", "XDG_DATA_HOME", "TMUX", "VIRTUAL_ENV", "CONDA_PREFIX"):
        monkeypatch.delenv(variable, raising=False)
    return made


CASES = [pytest.param((shell, name), name, id=f"{name}-{shell}") for name in ARRANGEMENTS for shell in SHELLS]


@pytest.mark.parametrize(("machine", "name"), CASES, indirect=["machine"])
def test_what_a_terminal_has_is_what_is_said_of_it(
    machine: Machine, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome, before = ARRANGEMENTS[name].outcome, machine.files()
    installed = machine.run()
    said = " ".join(capsys.readouterr().err.split())
    after = machine.files()
    real = typed(machine.shell, machine.home, SHORT_S if outcome == SILENT else LIMIT_S)
    assert real == ("other" if outcome == LEFT else outcome), after
    # What both say is what there is.
    result, message = machine.verdict()
    assert (result, said == "") == (("pass", True) if real == IN else ("fail", False)), (result, message, said)
    wrong = {"other": f"{machine.home}/other/bin/python", NONE: "not found", SILENT: "", IN: ""}[real]
    assert wrong in message
    assert (wrong in said) or outcome == LEFT
    assert installed["changed"] is (outcome != LEFT)
    if outcome == LEFT:
        assert machine.block.splitlines()[-1] in said
        assert after == before
    again = machine.run()
    assert (again["changed"], machine.files()) == (False, after)
    # Nobody has changed anything since.
    machine.run(block="", shell="", zdotdir="", prefix="", activations=[])
    left = ARRANGEMENTS[name].left
    if left:
        main = str(machine.home / MAIN[Path(machine.shell).name])
        before[main] = (before[main][0], left.encode())
    assert machine.files() == before


# `set -n` and `set -t` run nothing more, a restricted shell refuses files by their path, with `set -k` no export works.
REFUSING = ("exec", "noexec", "onecmd", "singlecommand", "restricted", "keyword")
OPTIONS = {
    "zsh": "setopt kshoptionprint; setopt | while read -r name _; do echo setopt $name; echo unsetopt $name; done",
    "bash": "set -o | while read -r name _; do echo set -o $name; echo set +o $name; done; "
    "shopt | while read -r name _; do echo shopt -s $name; echo shopt -u $name; done",
}
ONE_OF_EACH = [pytest.param((shell, "no file"), shell, id=shell) for shell in SHELLS]


@pytest.mark.parametrize(("machine", "name"), ONE_OF_EACH, indirect=["machine"])
def test_no_option_of_a_shell_keeps_the_block_from_its_work_and_each_stays_as_it_was(
    machine: Machine, name: str
) -> None:
    (machine.env / "etc" / "metal-lab" / "00-env.sh").write_text("export FIRST=1\n")
    file = machine.home / {"zsh": ".zshrc", "bash": ".bashrc"}[name]
    surroundings = {"HOME": str(machine.home), "TERM": "xterm", "PATH": "/usr/bin:/bin"}

    def run(*line: str) -> list[str]:
        done = subprocess.run(
            [machine.shell, *line],
            env=surroundings,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.splitlines()

    lines = [line for line in run("-c", OPTIONS[name]) if not line.endswith(REFUSING)]
    assert len(lines) > 100
    wrong = {}
    for line in lines:
        command, option = line.split()[0], line.split()[-1]
        is_set = f"shopt -q {option}" if command == "shopt" else f"[[ -o {option} ]]"
        before, after = (f"{is_set} && {one}=on || {one}=off\n" for one in ("one", "other"))
        file.write_text(f"{line}\n{before}{machine.block}{after}")
        said = run("-ic", r"\builtin printf '%s\n' $FIRST $OURS $one $other")
        if said not in (["1", "1", "on", "on"], ["1", "1", "off", "off"]):
            wrong[line] = said
    assert wrong == {}


def test_the_document_has_all_of_them() -> None:
    assert len(ARRANGEMENTS) >= 40
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text == document(text), "run PYTHONPATH=.collections python -m tests.helpers.start_up"
