"""What a new terminal window has: the user's login shell is started on a pseudo-terminal, and asked at its prompt.

The answer is what runs there, not what start-up files seem to say: a line is typed, and the `python` that it names
tells what it is. Standard library only, Python 3.8+: this file is also what the Ansible modules go by (a link among
their module_utils), so that converging and verifying mean the same.

The user's history is left alone: the shell takes no line into it that begins with a space, and is killed in the end,
since one that is asked to leave writes its history.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import pty
import pwd
import re
import select
import shlex
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

CONDA_FIRST = "# >>> conda initialize >>>"
CONDA_LAST = "# <<< conda initialize <<<"
"""The lines around conda's own block (conda/conda, conda/core/initialize.py)."""
_OURS = re.compile(r"^# >>> metal-lab .*?^# <<< metal-lab .*?$", re.MULTILINE | re.DOTALL)
_OWN_WAY = re.compile(r"^[^#\n]*(?:/profile\.d/conda\.sh|/bin/activate|conda\W+shell\.\w+\W+hook)", re.MULTILINE)
LIMIT_S = 20
"""For the start-up files and the answer."""
_QUIET_S, _RESTLESS_S, _AGAIN_S = 0.1, 2, 4
"""Of a prompt: how long nothing was written, how long one is waited for that never rests, when it is asked again."""
_ROWS, _COLUMNS = 24, 80
_TAIL = 300
"""Characters that are told of what was on the screen."""
_SHELLS = re.compile(r"-?(?:ash|bash|csh|dash|elvish|fish|ksh|mksh|nu|pwsh|sh|tcsh|xonsh|zsh|[Pp]ython)[\d.-]*")
"""Names of programs whose line editor may take a terminal's signals too; xonsh is a Python program."""
_VARIABLES = ("HOMEBREW_PREFIX", "CONDA_PREFIX", "CONDA_EXE", "VIRTUAL_ENV")
# Runs under whatever answers to the name python, be it a Python 2.
_PYTHON = f"""import json, os, sys
place = os.path.dirname(os.path.abspath(__file__))
variables = dict((name, os.environ.get(name, "")) for name in {_VARIABLES!r})
with open(os.path.join(place, "python.new"), "w") as file:
    json.dump(dict(python=sys.executable or "", prefix=sys.prefix, variables=variables), file)
os.rename(os.path.join(place, "python.new"), os.path.join(place, "python"))
"""
# Read by zsh and bash, whatever aliases, functions and options a user has (noclobber, nounset, errexit, ksh_arrays).
# `python` alone has no backslash: there aliases and functions are meant. HISTFILE: bash's `history -a` at each prompt.
_SHELL = """\\builtin printf '%s\\0' "${ZSH_VERSION+zsh}${BASH_VERSION+bash}" "${ZDOTDIR-}" \
"$(\\builtin command -v conda || :)" "$(\\builtin command -v brew || :)" \
"${HOMEBREW_PREFIX-}" "${CONDA_PREFIX-}" "${CONDA_EXE-}" "${VIRTUAL_ENV-}" >| PLACE/shell
python PLACE/ask.py || :
\\builtin printf '' >| PLACE/end
\\builtin unset HISTFILE || :
"""
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]|[\x00-\x08\x0b-\x1f\x7f]"
)
# What a program asks its terminal, which answers: where the cursor is, and what the terminal is (ECMA-48: DSR, DA).
_QUERIES = ((b"\x1b[6n", b"\x1b[1;1R"), (b"\x1b[c", b"\x1b[?6c"), (b"\x1b[0c", b"\x1b[?6c"))


@dataclass(frozen=True)
class Terminal:
    """What a new terminal window has.

    Attributes:
        shell: the login shell's path.
        error: why there is no answer, "" where there is one.
        kind: zsh or bash, as the shell says itself; "" for another one.
        zdotdir: ZDOTDIR in zsh, whether exported or not.
        python, prefix: what `python` runs, and that Python's prefix with links resolved; "" for none.
        conda, brew: what the shell takes for a command of that name.
        variables: values of HOMEBREW_PREFIX, CONDA_PREFIX, CONDA_EXE and VIRTUAL_ENV for what is started there.
    """

    shell: str
    error: str
    kind: str = ""
    zdotdir: str = ""
    python: str = ""
    prefix: str = ""
    conda: str = ""
    brew: str = ""
    variables: dict[str, str] = field(default_factory=dict)


def is_login() -> bool:
    """Whether a new terminal window starts a login shell: on macOS it does, on Linux it does not."""
    return platform.system() == "Darwin"


def startup_files(kind: str, home: Path, zdotdir: str, *, login: bool) -> list[Path]:
    """The user's start-up files that a new terminal's shell reads, in this order; none for a shell that is not known.

    zsh(1), STARTUP/SHUTDOWN FILES (.zshenv, which scripts read too, is left out); bash(1), INVOCATION: a login shell
    reads the first that is there, and where none is, the first could be made.
    """
    if kind == "zsh":
        names = (".zprofile", ".zshrc", ".zlogin") if login else (".zshrc",)
        return [Path(zdotdir or home) / name for name in names]
    if kind != "bash":
        return []
    if not login:
        return [home / ".bashrc"]
    profiles = [home / name for name in (".bash_profile", ".bash_login", ".profile")]
    return [next((one for one in profiles if os.access(one, os.R_OK)), profiles[0])]


def main_file(kind: str, files: list[Path]) -> Path | None:
    """The one of the start-up files to add something to that a terminal is to have: zsh's .zshrc, bash's only one."""
    return next((one for one in files if kind != "zsh" or one.name == ".zshrc"), None)


def knows_conda(root: str, kind: str, home: Path, zdotdir: str, program: str = "") -> bool:
    """Whether the shell's start-up files make this conda known.

    They do by the block that `conda init` writes, to zsh's .zshrc in ZDOTDIR and to bash's .bash_profile on macOS,
    .bashrc elsewhere (conda/conda, conda/core/initialize.py); users move it into another file, where it works as well.
    And they do by lines of the user's own, if the conda that a new terminal has is this one.

    Args:
        root: the installation's folder.
        kind, home, zdotdir: the shell, and where its files are.
        program: the conda that a new terminal has (CONDA_EXE), "" where it has none or was not asked.
    """
    names = {
        "zsh": (".zshrc", ".zprofile", ".zlogin"),
        "bash": (".bash_profile", ".bashrc", ".bash_login", ".profile"),
    }
    folder = Path(zdotdir or home) if kind == "zsh" else home
    same = bool(program) and os.path.realpath(program) == os.path.realpath(Path(root, "bin", "conda"))
    for name in names.get(kind, ()):
        if not (folder / name).is_file():
            continue
        try:
            text = (folder / name).read_bytes().decode("utf-8", "surrogateescape")
        except OSError:
            continue  # Nothing that a shell can read.
        # Several condas may each have put a block there.
        for part in text.split(CONDA_FIRST)[1:]:
            for place in re.findall(r"""['"](/[^'"\n]*)/bin/conda['"]""", part.partition(CONDA_LAST)[0]):
                if os.path.realpath(place) == os.path.realpath(root):
                    return True
        # Our own block knows conda too.
        if same and _OWN_WAY.search(_OURS.sub("", text)):
            return True
    return False


def ask(seconds: float = LIMIT_S, *, login: bool | None = None) -> Terminal:
    """Open a terminal, as it were, and ask.

    Where the start-up files go on in tmux, screen or zellij, these do not come to the user's sessions: they find no
    place for a socket. What a shell within tmux or screen has is then told by one that takes itself to be there.

    Args:
        seconds: time limit.
        login: whether to start a login shell; None for what terminals do on this system.
    """
    user = pwd.getpwuid(os.getuid())
    shell = user.pw_shell or "/bin/sh"
    login = is_login() if login is None else login
    place = Path(tempfile.mkdtemp(prefix="metal-lab-"))
    try:
        (place / "ask.py").write_text(_PYTHON, encoding="utf-8")
        (place / "ask").write_text(_SHELL.replace("PLACE", shlex.quote(str(place))), encoding="utf-8")
        # tmux(1), TMUX_TMPDIR: its sockets are in a folder of this name, which is none here.
        tmux, others = place / f"tmux-{os.getuid()}", place / "sockets"
        for nowhere in (tmux, others):
            nowhere.touch()
        # screen(1), SCREENDIR: it says that this is no folder. zellij-utils, consts.rs: ZELLIJ_SOCKET_DIR.
        fresh = {**_environment(user, shell, place), "SCREENDIR": str(others), "ZELLIJ_SOCKET_DIR": str(others)}
        # A start-up file may have exported it to what started this; with it, zsh would read no ~/.zshenv.
        exported = fresh.pop("ZDOTDIR", "") if Path(shell).name == "zsh" else ""
        found = _Asking(shell, fresh, login, place, time.monotonic() + seconds).run()
        if exported and (found.error or found.terminal().zdotdir != exported):
            fresh["ZDOTDIR"] = exported
            found = _Asking(shell, fresh, login, place, time.monotonic() + seconds).run()
        within = {}
        if str(others).encode() in found.screen:
            # Unlike tmux, it starts no login shells.
            within, login = {"STY": "1.main", "TERM": "screen"}, False
        elif found.ended or str(tmux).encode() in found.screen:
            within = {"TMUX": f"{tmux},1,0", "TERM": "screen-256color"}
        if within:
            again = _Asking(shell, {**fresh, **within}, login, place, time.monotonic() + seconds).run()
            found = found if again.error else again
        return found.terminal()
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _environment(user: pwd.struct_passwd, shell: str, place: Path) -> dict[str, str]:
    """What a terminal starts with: in this process' own environment the answer might come from an activated one."""
    kept = ("HOME", "USER", "LOGNAME", "LANG", "TMPDIR", "ZDOTDIR")
    fresh = {name: os.environ[name] for name in kept if name in os.environ}
    fresh.setdefault("HOME", user.pw_dir)
    fresh.update(SHELL=shell, TERM="xterm-256color", PATH="/usr/bin:/bin:/usr/sbin:/sbin", TMUX_TMPDIR=str(place))
    if platform.system() == "Darwin":
        # Without TERM_SESSION_ID, so that /etc/zshrc_Apple_Terminal restores and saves no session.
        fresh["TERM_PROGRAM"] = "Apple_Terminal"
    return fresh


class _Asking:
    """One shell on a pseudo-terminal, from its start to its end."""

    def __init__(self, shell: str, environment: dict[str, str], login: bool, place: Path, until: float) -> None:
        self.screen = b""
        self.ended = ""
        self.error = ""
        self._shell, self._environment, self._login = shell, environment, login
        self._place, self._until = place, until
        self._prompted = 0.0
        self._front = ""
        self._typed = 0

    def run(self) -> _Asking:
        """Start it, wait for its prompt, type, wait for the answer; kill it."""
        for name in ("shell", "python", "end"):
            with suppress(FileNotFoundError):
                (self._place / name).unlink()
        try:
            pid, master = pty.fork()
        except OSError as error:
            self.error = f"there is no terminal to be had ({error.strerror})"
            return self
        if pid == 0:
            self._become()
        try:
            self._converse(pid, master)
        finally:
            _kill(pid, master)
        return self

    def terminal(self) -> Terminal:
        """What it said."""
        if self.error:
            return Terminal(self._shell, self.error)
        python: dict[str, Any] = {"python": "", "prefix": "", "variables": {}}
        if (self._place / "python").exists():
            python = json.loads((self._place / "python").read_bytes())
        variables, said = python["variables"], ["", "", "", ""]
        if (self._place / "shell").exists():
            values = (self._place / "shell").read_bytes().decode("utf-8", "surrogateescape").split("\0")
            said, variables = values[:4], dict(zip(_VARIABLES, values[4:]))  # noqa: B905 (3.10+)
        kind, zdotdir, conda, brew = map(_plain, [*said, "", "", "", ""][:4])
        return Terminal(
            self._shell,
            "",
            kind,
            zdotdir,
            _plain(python["python"]),
            _plain(os.path.realpath(python["prefix"])) if python["prefix"] else "",
            conda,
            brew,
            {name: _plain(value) for name, value in variables.items()},
        )

    def _become(self) -> None:
        """Be the shell, as login(1) starts it in a new terminal; in the child process."""
        try:
            for number in (
                signal.SIGHUP,
                signal.SIGINT,
                signal.SIGQUIT,
                signal.SIGPIPE,
                signal.SIGTERM,
                signal.SIGXFSZ,
            ):
                signal.signal(number, signal.SIG_DFL)
            os.closerange(3, 256)
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
            with suppress(OSError):
                os.chdir(self._environment["HOME"])
            name = Path(self._shell).name
            line = [("-" if self._login else "") + name]
            if name == "zsh":
                line += ["-o", "histignorespace"]
            os.execve(self._shell, line, self._environment)  # noqa: S606 (the user's own shell)
        except OSError as error:
            os.write(2, f"{error.strerror}".encode())
        finally:
            os._exit(127)

    def _converse(self, pid: int, master: int) -> None:
        while not self._answered():
            now = time.monotonic()
            if now > self._until:
                self.error = self._silence()
                return
            quiet = not select.select([master], [], [], _QUIET_S)[0]
            if not quiet and not self._read(master):
                self.ended = self._status(pid)
                # It may have answered, and left.
                self.error = "" if self._answered() else f"it ended ({self.ended}) without an answer{self._shown()}"
                return
            if not _at_prompt(master):
                self._prompted = 0.0
                continue
            self._prompted = self._prompted or now
            if (quiet or now - self._prompted > _RESTLESS_S) and now >= self._typed * _AGAIN_S + self._prompted:
                self._front = _elsewhere(master)
                if not self._front:
                    self._type(master)

    def _answered(self) -> bool:
        """Whether all is said. Where another shell than expected reads the line, the Python alone answers."""
        return any((self._place / name).exists() for name in ("end", "python"))

    def _read(self, master: int) -> bool:
        """Take in what was written, and answer as a terminal; False where nobody writes any more."""
        try:
            chunk = os.read(master, 65536)
        except OSError:
            return False
        for query, answer in _QUERIES:
            if query in chunk:
                os.write(master, answer)
        self.screen = (self.screen + chunk)[-65536:]
        return bool(chunk)

    def _type(self, master: int) -> None:
        """Type the question. The shell's own words first; another shell may be there instead of it (`exec fish`)."""
        known = Path(self._shell).name in ("zsh", "bash")
        place = shlex.quote(str(self._place))
        line = f" \\. {place}/ask" if known and self._typed % 2 == 0 else f" python {place}/ask.py"
        # Ctrl-U: what was typed before may stand there still.
        os.write(master, (("\x15" if self._typed else "") + line + "\r").encode())
        self._typed += 1

    def _status(self, pid: int) -> str:
        while time.monotonic() < self._until:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                return (
                    f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit code {os.WEXITSTATUS(status)}"
                )
            time.sleep(0.01)
        return "it closed its terminal"

    def _silence(self) -> str:
        if self._typed:
            return f"it shows a prompt, and does not answer{self._shown()}"
        if self._front:
            return f"its start-up files go on in {self._front}, where nothing is typed{self._shown()}"
        return (
            f"its start-up files do not come to an end: one of them hangs, or waits for something typed{self._shown()}"
        )

    def _shown(self) -> str:
        text = " ".join(_ESCAPES.sub("", self.screen.decode("utf-8", "replace")).split())[-_TAIL:]
        return f"; on the screen: {text}" if text else ""


def _at_prompt(master: int) -> bool:
    """Whether a line editor reads: neither lines nor echoes are the terminal's then, and Return is no newline.

    zsh swaps the two (Src/Zle/zle_main.c, zsetterm), readline leaves Return alone (rltty.c, prepare_terminal_settings).
    A `read -n 1` in a start-up file changes neither.
    """
    try:
        modes = termios.tcgetattr(master)
    except termios.error:
        return False
    swapped = modes[0] & termios.INLCR or not modes[0] & termios.ICRNL
    return bool(swapped) and not modes[3] & (termios.ICANON | termios.ECHO)


def _elsewhere(master: int) -> str:
    """The programs that have a terminal where no shell reads it, so that a line would go to another session; else "".

    What hands on all that is typed takes the keys of signals too: seen of ssh, tmux, screen and dtach. The line
    editors of bash, zsh and fish leave these to the terminal, so that nothing in the background is held against them.
    """
    try:
        if termios.tcgetattr(master)[3] & termios.ISIG:
            return ""
        group = os.tcgetpgrp(master)
        # As long as it reads its start-up files, bash has no jobs: what it runs is of its own group.
        names = {one.name for one in _processes() if one.group == group}
    except (OSError, termios.error):
        return ""
    return ", ".join(sorted(name for name in names if not _SHELLS.fullmatch(name)))


class _Process(NamedTuple):
    group: int
    parent: int
    name: str


def _processes() -> Iterator[_Process]:
    """Each process that there is.

    ps(1) of macOS gives a program's path (adv_cmds, ps/keyword.c and print.c), proc(5) its name.
    """
    if platform.system() == "Darwin":
        line = ["/bin/ps", "-A", "-o", "pgid=", "-o", "ppid=", "-o", "comm="]
        done = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
        for one in done.stdout.decode("utf-8", "replace").splitlines():
            with suppress(ValueError):
                group, parent, name = one.split(None, 2)
                yield _Process(int(group), int(parent), name.rpartition("/")[2])
        return
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            # number (name) state parent group ...; tmux calls itself "tmux: client".
            head, rest = path.read_text(encoding="utf-8", errors="replace").rsplit(") ", 1)
            parent, group = rest.split()[1:3]
            yield _Process(int(group), int(parent), head.partition(" (")[2].partition(":")[0])


def _kill(pid: int, master: int) -> None:
    """Kill the shell, and what it runs in the foreground; its jobs end as where a window is closed."""
    with suppress(OSError):
        if os.waitpid(pid, os.WNOHANG) == (0, 0):
            for group in {one.group for one in _processes() if one.parent == pid} - {pid, os.getpgid(0)}:
                with suppress(OSError):
                    os.killpg(group, signal.SIGHUP)
    with suppress(OSError):
        group = os.tcgetpgrp(master)
        # A terminal that nobody has any more says 0, which would mean this process' own group.
        if group > 0:
            os.killpg(group, signal.SIGKILL)
    # One that has ended was waited for, and its number may be another's by now.
    with suppress(ChildProcessError):
        if os.waitpid(pid, os.WNOHANG) == (0, 0):
            # pty.fork made it the leader of a group, in which bash leaves what its start-up files began.
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    os.close(master)


def _plain(text: str) -> str:
    """A text that travels: bytes that are no UTF-8 came as surrogates."""
    return text.encode("utf-8", "replace").decode("utf-8")
