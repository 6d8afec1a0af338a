"""`./converge` itself: how it starts ansible-playbook, when it makes its toolchain, what it says where it cannot."""

import os
import pty
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from verify import ROOT

TOOLS = ("basename", "cat", "chmod", "cmp", "cp", "dirname", "env", "mkdir", "rm", "sh")
RECORDER = """#!/bin/sh
printf '%s\\n' "$0" "$@" >"$RECORD"
env >"$RECORD.env"
"""


@dataclass
class Checkout:
    """A clone with a toolchain that records how it is called, and a PATH with nothing but what `converge` needs."""

    folder: Path
    bin: Path
    stdin: int = subprocess.DEVNULL

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
        for name, text in (("python", "#!/bin/sh\n"), ("ansible-playbook", RECORDER)):
            (venv / "bin" / name).write_text(text, encoding="utf-8")
            (venv / "bin" / name).chmod(0o755)
        lock = (self.root / "controller.lock").read_text(encoding="utf-8")
        (venv / "controller.stamp").write_text(f"{self.root}\n{lock}", encoding="utf-8")

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        (self.folder / "record").unlink(missing_ok=True)
        return subprocess.run(
            [str(self.root / "converge"), *arguments],
            env={"PATH": str(self.bin), "HOME": str(self.folder), "RECORD": str(self.folder / "record"), **environment},
            stdin=self.stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


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


def test_a_users_own_collections_come_after_ours(checkout: Checkout) -> None:
    checkout.ready()
    assert checkout.run(ANSIBLE_COLLECTIONS_PATH="/theirs:/more").returncode == 0
    assert checkout.environment["ANSIBLE_COLLECTIONS_PATH"] == f"{checkout.root}/.collections:/theirs:/more"


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
    ("given", "expected"),
    [
        ({}, "C.UTF-8"),
        ({"LANG": "C"}, "C.UTF-8"),
        ({"LANG": "pt_PT.UTF-8", "LC_ALL": "POSIX"}, "C.UTF-8"),
        ({"LANG": "pt_PT.UTF-8"}, None),
        ({"LC_ALL": "pt_PT.utf8", "LANG": "C"}, None),
    ],
)
def test_ansible_gets_a_locale_in_which_it_starts(
    checkout: Checkout, given: dict[str, str], expected: str | None
) -> None:
    checkout.ready()
    checkout.run(**given)
    assert checkout.environment.get("LC_ALL") == (expected or given.get("LC_ALL"))


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
    calls = checkout.folder / "calls"
    log = f'echo "$(basename "$0") $*" >>"{calls}"'
    uv = checkout.tool("uv.stand-in", f'{log}\ncase "$1" in pip) exit "${{FAIL:-0}}" ;; esac')
    bootstrap, playbook = checkout.root / ".venv/bootstrap/bin", checkout.root / ".venv/bin/ansible-playbook"
    checkout.tool(
        "python3", f'{log}\ncase "$*" in *--target*) mkdir -p "{bootstrap}"; cp "{uv}" "{bootstrap}/uv" ;; esac'
    )
    failed = checkout.run(FAIL="1")
    assert failed.returncode == 2
    assert "could not install the toolchain" in failed.stderr
    assert not (checkout.root / ".venv/controller.stamp").exists()

    playbook.parent.mkdir(parents=True, exist_ok=True)
    playbook.write_text(RECORDER, encoding="utf-8")
    playbook.chmod(0o755)
    calls.unlink()
    done = checkout.run("--check")
    assert done.returncode == 0, done.stderr
    assert checkout.recorded[2:] == ["--check"]
    pip, venv, install = [
        line for line in calls.read_text(encoding="utf-8").splitlines() if line.split()[1] in ("-m", "venv", "pip")
    ][-3:]
    for wanted in ("--no-deps", "--only-binary :all:", "--require-hashes", "uv-tool.lock"):
        assert wanted in pip
    assert "--python >=3.11,<3.14" in venv
    for wanted in ("--require-hashes", "--reinstall", "controller.lock"):
        assert wanted in install
    assert (checkout.root / ".venv/controller.stamp").exists()
    assert not bootstrap.exists()
