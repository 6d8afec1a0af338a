"""What a new terminal has, asked of the real zsh and bash on a pseudo-terminal."""

import platform
import pwd
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from verify.probes import terminal
from verify.probes.terminal import Terminal, main_file, startup_files

FILES = {"zsh": ".zshrc", "bash": ".bash_profile"}
both = pytest.mark.parametrize("home", FILES, indirect=True)


class Home:
    """A user with a home, a login shell and two Pythons."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name, self.path, self.shell = name, folder / "home", shutil.which(name) or name
        self.path.mkdir()
        self.ours, self.other = folder / "our env", folder / "other"
        for place in (self.ours, self.other):
            # As the standard library's venv makes one, which says its prefix by this file.
            (place / "bin").mkdir(parents=True)
            (place / "bin" / "python").symlink_to(sys.executable)
            (place / "pyvenv.cfg").write_text(f"home = {Path(sys.executable).resolve().parent}\n")
        self.file = self.path / FILES.get(name, ".profile")

    def ask(self, text: str, seconds: float = 10) -> Terminal:
        self.file.write_text(f"PATH='{self.ours}/bin':$PATH\n{text}")
        return terminal.ask(seconds, login=True)


@pytest.fixture
def home(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    made = Home(tmp_path, request.param)
    user = SimpleNamespace(pw_shell=made.shell, pw_dir=str(made.path))
    monkeypatch.setattr(pwd, "getpwuid", lambda _: user)
    monkeypatch.setenv("HOME", str(made.path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    for variable in ("ZDOTDIR", "TMUX", "STY", "VIRTUAL_ENV"):
        monkeypatch.delenv(variable, raising=False)
    return made


@both
def test_all_that_is_asked_is_answered(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", "/of/this/process")
    (home.ours / "bin" / "brew").touch(mode=0o755)
    found = home.ask("conda() { :; }\nHOMEBREW_PREFIX=/höme ZDOTDIR=/z\nexport CONDA_EXE=$'/\\xff' CONDA_PREFIX=/c")
    assert found == Terminal(
        **{"shell": home.shell, "error": "", "kind": home.name, "zdotdir": "/z", "conda": "conda"},
        **{"python": f"{home.ours}/bin/python", "prefix": str(home.ours), "brew": f"{home.ours}/bin/brew"},
        variables={"HOMEBREW_PREFIX": "/höme", "CONDA_PREFIX": "/c", "CONDA_EXE": "/?", "VIRTUAL_ENV": ""},
    )


@both
@pytest.mark.parametrize("login", [True, False])
def test_it_starts_as_a_terminal_does(home: Home, login: bool) -> None:
    for one in (".zshrc", ".bash_profile", ".bashrc"):
        (home.path / one).write_text('echo "$0 $TERM $(tty) $(stty size) $PWD" >~/started\n')
    assert terminal.ask(10, login=login).error == ""
    argument, term, tty, *rest = (home.path / "started").read_text().split()
    # login(1) of a terminal puts a dash before the name.
    assert (argument, term, rest) == (
        ("-" if login else "") + home.name,
        "xterm-256color",
        ["24", "80", str(home.path)],
    )
    assert tty.startswith("/dev/")


OURS = {
    "output": "echo hello; printf 'no end'",
    "aliases": "alias .=false builtin=false printf=false unset=false command=false source=false eval=false",
    "options": "set -eu; set -o noclobber",
    "tmux": '[ -z "$TMUX" ] && exec tmux',
    "tmux that is to come back to a session": '[ -z "$TMUX" ] && { tmux new-session -A -s main || true; }',
    "TERM": "case $TERM in dumb) PATH=/bin ;; esac",
    "no terminal": "[ -t 0 ] && [ -t 1 ] || PATH=/bin",
    "a question to the terminal": "printf '\\033[6n'; IFS= read -rs -d R answer",
    "another shell": "export PATH; exec sh -c 'exec bash --norc'",
    "a program in the background": "sleep 7 &",
    "a tunnel in the background": 'ln -s "$(command -v sleep)" ~/ssh; ~/ssh 15 &',
    "an error": "nosuchcommand; false",
}


@both
@pytest.mark.parametrize("case", OURS)
def test_what_is_none_of_a_pythons_business_changes_nothing(home: Home, case: str) -> None:
    found = home.ask(OURS[case])
    assert (found.error, found.prefix) == ("", str(home.ours)), found
    # Nothing is left of it: no folder, no session.
    assert sorted(path.name for path in home.path.parent.iterdir()) == ["home", "other", "our env"]


@both
@pytest.mark.parametrize(
    "line",
    [
        "alias python='{}/bin/python'",
        'python() {{ {}/bin/python "$@"; }}',
        "PATH={}/bin:$PATH",
        "alias python='env X=1 {}/bin/python'",
        '[ -z "$TMUX" ] && exec tmux; PATH={}/bin:$PATH',
    ],
)
def test_another_python_is_found(home: Home, line: str) -> None:
    found = home.ask(line.format(home.other))
    assert (found.error, found.prefix) == ("", str(home.other))


@both
@pytest.mark.parametrize("start", ["exec screen", "screen -xRR && exit", "screen -xRR main"])
def test_within_screen_the_start_up_files_of_no_login_shell_count(home: Home, start: str) -> None:
    rest = f"PATH={home.other}/bin:$PATH"
    (home.path / ".bashrc").write_text(rest)
    found = home.ask(f'[ -z "$STY" ] && {start}\n' + (rest if home.name == "zsh" else ""))
    assert (found.error, found.prefix) == ("", str(home.other)), found


@both
def test_nothing_is_typed_into_a_session_of_the_users(home: Home) -> None:
    name, given = f"metal-lab-{home.path.parent.name}", home.path / "given"
    given.touch()
    subprocess.run(["screen", "-dmS", name, "sh", "-c", f"printf '$ '; cat >{given}"], check=True)
    try:
        home.ask(f'[ -z "$STY" ] && screen -x {name}', 3)
        assert given.read_text(encoding="utf-8") == ""
    finally:
        subprocess.run(["screen", "-S", name, "-X", "quit"], check=True)


@both
@pytest.mark.parametrize("line", ["tmux -S {0}/socket attach", "{1} ssh >{0}/given", "{1} exec docker >{0}/given"])
def test_nothing_is_typed_into_what_leads_elsewhere(home: Home, line: str) -> None:
    """Where the socket of a session is named by its path, no variable leads away from it."""
    given, socket = home.path / "given", home.path / "socket"
    given.touch()
    # What hands on all that is typed, under the name of a client that does so.
    client = next(one for one in ("tmux", "ssh", "docker") if one in line)
    if client != "tmux":
        shutil.copy(shutil.which("cat") or "", home.ours / "bin" / client)
    tmux = ["tmux", "-S", str(socket), "-f", "/dev/null"]
    subprocess.run([*tmux, "new-session", "-d", f"cat >{given}"], check=True)
    try:
        found = home.ask(line.format(home.path, "stty raw -echo;"), 4)
        assert given.read_text(encoding="utf-8") == ""
    finally:
        subprocess.run([*tmux, "kill-server"], check=True)
    assert f"its start-up files go on in {client}, where nothing is typed" in found.error


def test_processes_are_told_apart_by_their_group_on_either_system(monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen(["sleep", "1000"], process_group=0) as sleeping:
        try:
            for system in ("Linux", "Darwin"):
                monkeypatch.setattr(platform, "system", lambda found=system: found)
                assert [one.name for one in terminal._processes() if one.group == sleeping.pid] == ["sleep"]
        finally:
            sleeping.kill()


@both
def test_what_runs_in_the_background_ends_with_the_terminal(home: Home) -> None:
    home.ask(f"ln -s '{shutil.which('sleep')}' ~/lasting; ~/lasting 1000 & echo $! >~/number")
    number = int((home.path / "number").read_text())
    end = time.monotonic() + 10
    with suppress(FileNotFoundError):
        # Nobody may have waited for it yet.
        while (state := Path(f"/proc/{number}/stat").read_text()) and "lasting" in state and ") Z" not in state:
            assert time.monotonic() < end
            time.sleep(0.01)


@pytest.mark.parametrize("home", ["zsh"], indirect=True)
@pytest.mark.parametrize(
    ("of_all", "path"),
    [
        # Without it in the environment ~/.zshenv is read, as in a new window.
        ("export ZDOTDIR=~/dots VIRTUAL_ENV=/of/zshenv", "'{}/bin':$PATH"),
        # Said too late for this shell.
        ("", "/usr/bin:/bin"),
    ],
)
def test_zdotdir_of_this_process_is_no_terminals_where_a_start_up_file_exports_it(
    home: Home, monkeypatch: pytest.MonkeyPatch, of_all: str, path: str
) -> None:
    (home.path / "dots").mkdir()
    (home.path / ".zshenv").write_text(of_all)
    (home.path / "dots" / ".zshrc").write_text(f"PATH={path.format(home.ours)}")
    monkeypatch.setenv("ZDOTDIR", str(home.path / "dots"))
    found = home.ask("export ZDOTDIR=~/dots\n")
    assert found.prefix == str(home.ours)
    assert found.variables["VIRTUAL_ENV"] == ("/of/zshenv" if of_all else "")


@pytest.mark.parametrize("home", ["zsh"], indirect=True)
def test_zdotdir_that_no_start_up_file_exports_is_what_the_system_gives_its_terminals(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home.path / "dots").mkdir()
    (home.path / "dots" / ".zshrc").write_text(f"PATH='{home.other}/bin':$PATH")
    monkeypatch.setenv("ZDOTDIR", str(home.path / "dots"))
    assert home.ask("").prefix == str(home.other)


@both
def test_a_shell_whose_answer_is_empty_is_none_that_is_known(home: Home) -> None:
    found = home.ask("builtin() { :; }")
    assert (found.error, found.kind, found.prefix) == ("", "", str(home.ours))


@both
def test_no_python_is_none(home: Home) -> None:
    (home.path / "empty").mkdir()
    found = home.ask("PATH=$HOME/empty")
    assert (found.error, found.python, found.prefix, found.kind) == ("", "", "", home.name)


@both
@pytest.mark.parametrize(
    ("text", "seconds", "said"),
    [
        ("exit 7", 20, "it ended (exit code 7) without an answer"),
        ("kill -9 $$", 20, "it ended (signal 9) without an answer"),
        ("echo '\x1b[1mUpdate?\x1b[0m'; read answer", 3, "waits for something typed; on the screen: Update?"),
        ("sleep 1000", 1, "do not come to an end: one of them hangs"),
        ("stty -icanon -echo -icrnl; echo ready; sleep 1000", 3, "shows a prompt, and does not answer"),
    ],
)
def test_why_there_is_no_answer(home: Home, text: str, seconds: float, said: str) -> None:
    found = home.ask(text, seconds)
    assert said in found.error
    assert (found.shell, found.kind, found.python) == (home.shell, "", "")


@pytest.mark.parametrize("home", ["/nowhere/zsh"], indirect=True)
def test_a_shell_that_is_not_there(home: Home) -> None:
    assert "No such file" in home.ask("").error


@both
def test_what_is_typed_does_not_come_into_the_history(home: Home) -> None:
    """At once, as some have it, and in the end, as the shells have it."""
    kept = home.path / "history"
    keep = {"zsh": "SAVEHIST=9 HISTSIZE=9; setopt share_history", "bash": "PROMPT_COMMAND='history -a'"}
    for line in (keep[home.name], ""):
        assert home.ask(f"HISTFILE={kept}; {line}").error == ""
        assert not kept.exists() or kept.read_text() == ""


@both
def test_what_it_started_ends_and_who_asks_does_not(home: Home) -> None:
    """A terminal that nobody has any more has no foreground, and the number for that means one's own."""
    asks = (
        "import os, pwd, sys; from types import SimpleNamespace as User; from verify.probes import terminal\n"
        "pwd.getpwuid = lambda _: User(pw_shell=sys.argv[1], pw_dir=os.environ['HOME'])\n"
        "print(terminal.ask(3, login=True).error)"
    )
    foreground = "sh -c 'echo $$ >~/started; exec sleep 1000'\n"
    for text, said in ((foreground, "come to an end"), ("exit 3\n", "exit code 3")):
        home.file.write_text(text)
        line = [sys.executable, "-c", asks, home.shell]
        done = subprocess.run(line, capture_output=True, text=True, check=False, start_new_session=True)
        assert (done.returncode, said in done.stdout) == (0, True), done
    # Killed, it may wait for somebody to take note of it.
    child = int((home.path / "started").read_text())
    listed = ["ps", "-o", "stat=", "-p", str(child)]
    assert subprocess.run(listed, capture_output=True, text=True, check=False).stdout[:1] in ("", "Z")


@pytest.mark.parametrize(
    ("kind", "login", "there", "read"),
    [
        ("zsh", True, [], ["z/.zprofile", "z/.zshrc", "z/.zlogin"]),
        ("zsh", False, [], ["z/.zshrc"]),
        ("bash", False, [".profile"], [".bashrc"]),
        ("bash", True, [], [".bash_profile"]),
        ("bash", True, [".profile"], [".profile"]),
        ("bash", True, [".profile", ".bash_login"], [".bash_login"]),
        ("bash", True, [".profile", ".bash_profile"], [".bash_profile"]),
        ("fish", True, [".profile"], []),
    ],
)
def test_what_a_shell_reads(tmp_path: Path, kind: str, login: bool, there: list[str], read: list[str]) -> None:
    for name in there:
        (tmp_path / name).touch()
    files = startup_files(kind, tmp_path, str(tmp_path / "z"), login=login)
    assert files == [tmp_path / name for name in read]
    assert main_file(kind, files) == {"zsh": tmp_path / "z" / ".zshrc"}.get(kind, files[0] if files else None)
