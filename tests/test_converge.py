"""`./converge` itself: how it starts ansible-playbook, when it makes its toolchain, what it says where it cannot."""

import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers.waiting import wait_until
from verify import ROOT

UNSET = "(unset)"
TOOLS = (
    "basename",
    "cat",
    "chmod",
    "cmp",
    "cp",
    "dirname",
    "env",
    "ls",
    "mkdir",
    "mv",
    "readlink",
    "rm",
    "rmdir",
    "sed",
    "sh",
    "sleep",
)
RECORDER = """#!/bin/sh
printf '%s\\n' "$0" "$@" >"$RECORD"
env >"$RECORD.env"
"""
PYTHON = f"""#!/bin/sh
# The toolchain's: takes the lock as verify/toolchain.py does, and finds that all is well.
{sys.executable} -I -S -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_SH)' && echo "${{FOUND:-whole}}"
"""
# A python3 with pip, which brings a uv; neither installs beside another of its kind.
STARTER = f"""
case "$*" in
    *--target*) ;;
    -m*) exit 0 ;;
    *) exec {sys.executable} "$@" ;;
esac
mkdir "$ROOM/making" || {{ echo beside another >>"$ROOM/log"; exit 1; }}
echo alone >>"$ROOM/log"
while [ -e "$ROOM/hold" ]; do sleep 0.05; done
for target in "$@"; do [ "${{before:-}}" != --target ] || break; before=$target; done
mkdir -p "$target/bin" && cp "$ROOM/uv" "$target/bin/uv"
"""
UV = """#!/bin/sh
for last in "$@"; do :; done
case "$*" in
    "venv "*) mkdir -p "$last/bin" && cp "$ROOM/python" "$last/bin/python" ;;
    *)
        rmdir "$ROOM/making"
        [ -z "${FAIL:-}" ] || exit 1
        for python in "$@"; do [ "${before:-}" != --python ] || break; before=$python; done
        cp "$ROOM/playbook" "${python%/*}/ansible-playbook"
        ;;
esac
"""


@dataclass
class Checkout:
    """A clone with a toolchain that records how it is called, and a PATH with nothing but what `converge` needs."""

    folder: Path
    bin: Path
    stdin: int = subprocess.DEVNULL
    shell: tuple[str, ...] = ()

    @property
    def root(self) -> Path:
        return self.folder / "a clone"

    @property
    def recorded(self) -> list[str]:
        """The command line of ansible-playbook; [] where it was not called."""
        path = self.folder / "record"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    @property
    def environment(self) -> dict[str, str]:
        """The environment of ansible-playbook."""
        lines = (self.folder / "record.env").read_text(encoding="utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def tool(self, name: str, text: str) -> Path:
        """Put a script of this name first on PATH."""
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    def ready(self) -> None:
        """Make the toolchain as a finished run leaves it, with a stand-in for ansible-playbook."""
        venv = self.root / ".venv"
        (venv / "bin").mkdir(parents=True, exist_ok=True)
        for name, text in (("python", PYTHON), ("ansible-playbook", RECORDER)):
            (venv / "bin" / name).write_text(text, encoding="utf-8")
            (venv / "bin" / name).chmod(0o755)
        lock = (self.root / "controller.lock").read_text(encoding="utf-8")
        (venv / "controller.stamp").write_text(f"{self.root}\n{lock}", encoding="utf-8")

    def makes(self) -> None:
        """Have what makes a toolchain: stand-ins that take as long as there is a file `hold`."""
        self.tool("python3", STARTER)
        for name, text in (("uv", UV), ("python", PYTHON), ("playbook", RECORDER)):
            (self.folder / name).write_text(text, encoding="utf-8")
            (self.folder / name).chmod(0o755)

    @property
    def made(self) -> list[str]:
        """How toolchains were made: each alone, or beside another."""
        path = self.folder / "log"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def start(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        """Start it."""
        (self.folder / "record").unlink(missing_ok=True)
        given = {"PATH": str(self.bin), "HOME": str(self.folder), "RECORD": str(self.folder / "record")}
        given = {**given, "ROOM": str(self.folder), **environment}
        return subprocess.Popen(
            [*self.shell, str(self.root / "converge"), *arguments],
            env={name: value for name, value in given.items() if value != UNSET},
            stdin=self.stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, **environment)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess([], process.returncode, out, err)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    made = Checkout(tmp_path, tmp_path / "bin")
    made.bin.mkdir()
    for name in TOOLS:
        (made.bin / name).symlink_to(str(shutil.which(name)))
    made.tool("uname", "echo Linux")
    made.root.mkdir(parents=True)
    for name in ("converge", "controller.lock", "uv-tool.lock"):
        shutil.copy2(ROOT / name, made.root)
    return made


def test_every_option_goes_on_to_ansible_playbook(checkout: Checkout) -> None:
    checkout.ready()
    given = ["--check", "-e", '{"frameworks": ["mlx"]}', "--tags", "a b"]
    done = checkout.run(*given)
    assert done.returncode == 0, done.stderr
    assert checkout.recorded == [
        str(checkout.root / ".venv/bin/ansible-playbook"),
        str(checkout.root / "site.yml"),
        *given,
    ]
    assert checkout.environment["ANSIBLE_CONFIG"] == str(checkout.root / "ansible.cfg")
    ours = f"{checkout.root}/.collections"
    assert checkout.environment["ANSIBLE_COLLECTIONS_PATH"] == f"{ours}:/usr/share/ansible/collections"


def test_the_exit_code_is_that_of_ansible_playbook(checkout: Checkout) -> None:
    checkout.ready()
    (checkout.root / ".venv/bin/ansible-playbook").write_text("#!/bin/sh\nexit 4\n", encoding="utf-8")
    assert checkout.run().returncode == 4


def test_help_starts_nothing(checkout: Checkout) -> None:
    for option in ("-h", "--help"):
        done = checkout.run(option)
        assert (done.returncode, checkout.recorded) == (0, [])
        assert done.stdout.startswith("Usage: ./converge")


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"LANG": "C"},
        {"LC_ALL": "POSIX"},
        {"LC_ALL": "pt_PT.UTF-8"},
        {"LC_CTYPE": "no_SUCH.UTF-8"},
        {"LC_ALL": "x" * 300},
    ],
)
def test_ansible_gets_a_locale_in_which_it_starts(checkout: Checkout, given: dict[str, str]) -> None:
    checkout.ready()
    checkout.run(**given)
    assert checkout.environment["LC_ALL"] == "C.UTF-8"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"PIP_INDEX_URL": "https://a"}, ("https://a", "https://a")),
        ({"UV_DEFAULT_INDEX": "https://b"}, ("https://b", "https://b")),
        ({"PIP_INDEX_URL": "https://a", "UV_DEFAULT_INDEX": "https://b"}, ("https://a", "https://b")),
        ({}, (None, None)),
    ],
)
def test_a_mirror_named_for_pip_or_for_uv_is_meant_for_both(
    checkout: Checkout, given: dict[str, str], expected: tuple[str | None, str | None]
) -> None:
    checkout.ready()
    checkout.run(**given)
    seen = checkout.environment
    assert (seen.get("PIP_INDEX_URL"), seen.get("UV_DEFAULT_INDEX")) == expected


def test_on_a_mac_forked_workers_are_safe_and_nobody_is_asked_without_a_terminal(checkout: Checkout) -> None:
    checkout.ready()
    checkout.tool("uname", "echo Darwin")
    checkout.tool("sudo", "exit 1")
    checkout.run()
    assert checkout.environment["OBJC_DISABLE_INITIALIZE_FORK_SAFETY"] == "YES"
    assert checkout.environment["LC_ALL"] == "en_US.UTF-8"
    assert "--ask-become-pass" not in checkout.recorded


def test_the_password_is_asked_for_where_homebrews_folder_is_to_be_made(checkout: Checkout) -> None:
    checkout.ready()
    checkout.tool("uname", "echo Darwin")
    checkout.tool("sudo", "exit 1")
    ours, checkout.stdin = pty.openpty()
    try:
        for arguments, asked in (
            ((), True),
            (("-e", "homebrew_enabled=false"), False),
            (("-e", '{"homebrew_enabled": false}'), False),
            (("-i", "inventory/lab.yml"), False),
        ):
            checkout.run(*arguments)
            assert ("--ask-become-pass" in checkout.recorded) is asked, arguments
    finally:
        os.close(ours)
        os.close(checkout.stdin)


def test_a_python_that_does_not_do_is_named_with_what_is_needed(checkout: Checkout) -> None:
    checkout.tool("python3", 'case "$*" in *version_info*) exit 1 ;; --version) echo "Python 3.8.1" ;; esac')
    done = checkout.run()
    assert (done.returncode, checkout.recorded) == (2, [])
    assert "Python 3.8.1" in done.stderr
    assert "Needed: python3, 3.9 or newer, with pip" in done.stderr


def test_without_any_python_that_is_said(checkout: Checkout) -> None:
    done = checkout.run()
    assert done.returncode == 2
    assert "found no python3" in done.stderr


def test_on_a_mac_without_the_command_line_tools_they_are_asked_for(checkout: Checkout) -> None:
    checkout.tool("uname", "echo Darwin")
    checkout.tool("xcode-select", "exit 2")
    checkout.tool("python3", "exit 0")
    done = checkout.run()
    assert done.returncode == 2
    assert "xcode-select --install" in done.stderr


@pytest.mark.parametrize("change", ["lock", "place", "stamp", "python"])
def test_a_toolchain_of_another_state_is_made_anew(checkout: Checkout, change: str) -> None:
    checkout.ready()
    venv = checkout.root / ".venv"
    if change == "lock":
        with (checkout.root / "controller.lock").open("a", encoding="utf-8") as file:
            file.write("# changed\n")
    elif change == "place":
        stamp = venv / "controller.stamp"
        stamp.write_text(stamp.read_text(encoding="utf-8").replace("a clone", "another"), encoding="utf-8")
    else:
        (venv / {"stamp": "controller.stamp", "python": "bin/python"}[change]).unlink()
    # It is made with a Python, of which there is none: so it was not taken as it was.
    assert (checkout.run().returncode, checkout.recorded) == (2, [])


def test_the_toolchain_is_fetched_by_hash_and_used_only_when_it_is_whole(checkout: Checkout) -> None:
    checkout.makes()
    calls = checkout.folder / "calls"
    log = f'echo "$(basename "$0") $*" >>"{calls}"'
    for tool in (checkout.bin / "python3", checkout.folder / "uv"):
        text = tool.read_text(encoding="utf-8")
        tool.write_text(text.replace("#!/bin/sh\n", f"#!/bin/sh\n{log}\n", 1), encoding="utf-8")
    failed = checkout.run(FAIL="1")
    assert failed.returncode == 2
    assert "could not install the toolchain" in failed.stderr
    assert sorted(path.name for path in checkout.root.glob(".venv*")) == [".venv.lock"]

    calls.unlink()
    done = checkout.run("--check")
    assert done.returncode == 0, done.stderr
    assert checkout.recorded[2:] == ["--check"]
    lines = calls.read_text(encoding="utf-8").splitlines()
    [pip] = [line for line in lines if "--target" in line]
    [venv, install] = [line for line in lines if line.startswith("uv ")]
    for wanted in ("--no-deps", "--only-binary :all:", "--require-hashes", "uv-tool.lock"):
        assert wanted in pip
    # Where it is made is not where it is used.
    assert "--python >=3.11,<3.14" in venv
    assert "--relocatable" in venv
    for wanted in ("--require-hashes", "--reinstall", "controller.lock"):
        assert wanted in install
    assert sorted(path.name for path in checkout.root.glob(".venv*")) == [".venv", ".venv.lock"]
    assert not (checkout.root / ".venv/bootstrap").exists()


def test_two_at_once_make_it_once(checkout: Checkout) -> None:
    checkout.makes()
    (checkout.folder / "hold").touch()
    both = [checkout.start("--list-tags"), checkout.start("--list-tags")]
    wait_until(lambda: checkout.made, both[0])
    time.sleep(1)
    (checkout.folder / "hold").unlink()
    said = [one.communicate(timeout=60)[1] for one in both]
    assert [one.returncode for one in both] == [0, 0], said
    assert checkout.made == ["alone"]
    assert sum("another ./converge of this folder is at work" in one for one in said) == 1


def test_it_is_not_made_anew_below_a_run_that_uses_it(checkout: Checkout) -> None:
    checkout.ready()
    (checkout.root / ".venv/bin/ansible-playbook").write_text('#!/bin/sh\n: >"$ROOM/runs"; sleep 1000 & wait\n')
    running = checkout.start()
    wait_until((checkout.folder / "runs").exists, running)
    checkout.makes()
    with (checkout.root / "controller.lock").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    next_one = checkout.start()
    assert next_one.stderr is not None
    assert "another ./converge of this folder is at work" in next_one.stderr.readline()
    time.sleep(1.5)
    assert checkout.made == []
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    next_one.communicate(timeout=60)
    assert next_one.returncode == 0
    assert checkout.made == ["alone"]


def test_whoever_is_killed_while_making_it_leaves_the_former_and_the_next_makes_it(checkout: Checkout) -> None:
    checkout.ready()
    checkout.makes()
    stamp = checkout.root / ".venv/controller.stamp"
    stamp.write_text("of another version\n", encoding="utf-8")
    (checkout.folder / "hold").touch()
    first = checkout.start()
    wait_until(lambda: checkout.made, first)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    assert stamp.read_text(encoding="utf-8") == "of another version\n"
    assert (checkout.root / ".venv/bin/ansible-playbook").exists()
    (checkout.folder / "hold").unlink()
    (checkout.folder / "making").rmdir()
    assert checkout.run().returncode == 0
    assert sorted(path.name for path in checkout.root.glob(".venv*")) == [".venv", ".venv.lock"]


def test_a_damaged_toolchain_is_said_and_made_anew(checkout: Checkout) -> None:
    checkout.ready()
    checkout.makes()
    python = checkout.root / ".venv/bin/python"
    for text, said in (
        ("#!/bin/sh\necho bin/ansible-playbook has 0 bytes instead of 365\n", "bin/ansible-playbook has 0 bytes"),
        ("", "its Python does nothing"),
        ("#!/nowhere/python3\n", "python"),
    ):
        python.write_text(text, encoding="utf-8")
        done = checkout.run()
        assert done.returncode == 0, done.stderr
        assert "the toolchain in .venv is damaged, and is made anew: " in done.stderr
        assert said in done.stderr
    assert checkout.made == ["alone"] * 3


@pytest.mark.parametrize("name", [".venv.lock", ".venv"])
@pytest.mark.parametrize("kind", ["fifo", "link", "folder"])
def test_odd_files_in_the_toolchains_place_are_refused_by_name(checkout: Checkout, name: str, kind: str) -> None:
    place = checkout.root / name
    if kind == "fifo":
        os.mkfifo(place)
    elif kind == "link":
        place.symlink_to("/dev/zero")
    else:
        place.mkdir()
    done = checkout.run()
    assert done.returncode == 2
    assert (name in done.stderr) is (kind != "folder" or name == ".venv.lock"), done.stderr
    assert os.path.lexists(place)


FOREIGN = (
    *("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONWARNINGS", "PYTHONSAFEPATH", "PYTHONOPTIMIZE", "PYTHONUTF8"),
    *("PYTHONDEVMODE", "PYTHONPLATLIBDIR", "PYTHONUSERBASE", "PYTHONINSPECT", "PYTHONBREAKPOINT", "PYTHONCASEOK"),
    *("ANSIBLE_CONFIG", "ANSIBLE_COLLECTIONS_PATH", "ANSIBLE_CALLBACKS_ENABLED", "ANSIBLE_STRATEGY", "ANSIBLE_HOME"),
    *(
        "ANSIBLE_INVENTORY",
        "ANSIBLE_HOST_KEY_CHECKING",
        "ANSIBLE_LOG_PATH",
        "ANSIBLE_KEEP_REMOTE_FILES",
        "ANSIBLE_LIBRARY",
    ),
    *("PIP_CONFIG_FILE", "PIP_TARGET", "PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV", "PIP_NO_INDEX", "PIP_EXTRA_INDEX_URL"),
    *(
        "UV_CONFIG_FILE",
        "UV_INDEX",
        "UV_EXTRA_INDEX_URL",
        "UV_PYTHON",
        "UV_PROJECT_ENVIRONMENT",
        "UV_TARGET",
        "UV_OFFLINE",
    ),
    *("CONDA_PREFIX", "CONDA_DEFAULT_ENV", "_CE_CONDA", "_CONDA_ROOT", "VIRTUAL_ENV", "GIT_DIR", "GIT_CONFIG_GLOBAL"),
    *("GIT_SSH_COMMAND", "CDPATH", "ENV", "BASH_ENV", "LANGUAGE"),
)
OURS = {"ANSIBLE_CONFIG", "ANSIBLE_COLLECTIONS_PATH", "PIP_CONFIG_FILE"}


@pytest.mark.parametrize("shell", [("dash",), ("bash", "--posix"), ("busybox", "ash")], ids=lambda shell: shell[0])
def test_what_a_terminal_has_set_for_other_work_has_no_effect(checkout: Checkout, shell: tuple[str, ...]) -> None:
    if not (found := shutil.which(shell[0])):
        pytest.skip(f"{shell[0]} is not here")
    checkout.ready()
    checkout.shell = (found, *shell[1:])
    assert checkout.run().stderr == ""
    clean = checkout.environment
    # Or a pipe would get nothing for minutes.
    assert clean["PYTHONUNBUFFERED"] == "1"
    foreign = dict.fromkeys(FOREIGN, f"{checkout.folder}/nowhere")
    odd = {"IFS": "/", "LC_ALL": "tr_TR.UTF-8", "XDG_DATA_HOME": "data", "XDG_CONFIG_HOME": "./x", "TMPDIR": "/nowhere"}
    said = checkout.run(**foreign, **odd).stderr
    # A shell notes its own affairs.
    own = {"_", "SHLVL", "OLDPWD", "PWD", "IFS"}
    assert {name: value for name, value in checkout.environment.items() if name not in own} == {
        name: value for name, value in clean.items() if name not in own
    }, said
    assert set(clean) & set(FOREIGN) <= OURS


def test_what_is_named_counts(checkout: Checkout) -> None:
    checkout.ready()
    named = {
        **{
            "PIP_INDEX_URL": "https://a",
            "UV_DEFAULT_INDEX": "https://b",
            "UV_FIND_LINKS": "/w",
            "HTTPS_PROXY": "http://p",
        },
        **{"SSL_CERT_FILE": "/c.pem", "PIP_CERT": "/c.pem", "UV_CACHE_DIR": "/u", "UV_LINK_MODE": "copy"},
        **{"UV_HTTP_TIMEOUT": "9", "UV_HTTP_RETRIES": "9", "XDG_DATA_HOME": "/d", "TMPDIR": str(checkout.folder)},
    }
    checkout.run(**named)
    assert {name: checkout.environment[name] for name in named} == named


@pytest.mark.parametrize(
    ("home", "said"),
    [
        (UNSET, "HOME is ''. Needed: the whole path of this user's folder"),
        ("", "HOME is ''. Needed"),
        ("here", "HOME is 'here'. Needed"),
        ("/nowhere/at all", "HOME is '/nowhere/at all', which is no folder"),
        ("/dev/null", "HOME is '/dev/null', which is no folder"),
        ("/a\nhealthy", "HOME is no path: it has several lines"),
    ],
)
def test_a_home_that_is_none_is_said_before_anything_is_done(checkout: Checkout, home: str, said: str) -> None:
    checkout.ready()
    done = checkout.run(HOME=home)
    assert (done.returncode, checkout.recorded) == (2, [])
    assert said in done.stderr
    assert not (checkout.root / ".venv.lock").exists()


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("with a blank", True), ("it's", True), ("höme", True), ("-n", True), ("a#b;c&d", True), ("~", True),
        ("%s", True),
        ("a:b", False), ("a\nb", False), ("{{ 7 * 7 }}", False), ("$HOME", False), ('"', False),
    ],
)  # fmt: skip
def test_an_odd_path_of_the_repository_serves_or_is_said(checkout: Checkout, name: str, good: bool) -> None:
    made = Checkout(checkout.folder / name, checkout.bin)
    made.folder.mkdir()
    shutil.copytree(checkout.root, made.root)
    made.ready()
    done = made.run()
    assert (done.returncode == 0) is good, done.stderr
    assert bool(made.recorded) is good
    assert good or ("this folder is " in done.stderr and "Move it." in done.stderr)


@pytest.mark.parametrize("shell", [("dash",), ("bash", "--posix"), ("busybox", "ash")], ids=lambda shell: shell[0])
def test_a_folder_that_is_gone_is_said(checkout: Checkout, shell: tuple[str, ...]) -> None:
    if not (found := shutil.which(shell[0])):
        pytest.skip(f"{shell[0]} is not here")
    checkout.ready()
    (checkout.folder / "gone").mkdir()
    line = 'cd "$1" && rmdir "$1" && shift && exec "$@"'
    checkout.shell = ("/bin/sh", "-c", line, "sh", str(checkout.folder / "gone"), found, *shell[1:])
    done = checkout.run()
    assert (done.returncode, checkout.recorded) == (2, []), done.stderr
    assert "the folder that this was started in is gone" in done.stderr
