"""Preflight: what the script prints is read strictly, and every obstacle is named with its way out."""

import getpass
import json
import os
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.utils.display import Display
from ansible_collections.metal_lab.macs.plugins.action import preflight
from ansible_collections.metal_lab.macs.plugins.action.preflight import SCRIPT, choose_provider, judge, parse
from ansible_collections.metal_lab.macs.plugins.module_utils import lab_record
from ansible_collections.metal_lab.macs.plugins.plugin_utils import mac
from ansible_collections.metal_lab.macs.verify import ROOT
from ansible_collections.metal_lab.macs.verify.errors import UserError
from ansible_collections.metal_lab.macs.verify.profile import model as profiles

from tests.helpers.plugins import by_shell, connection, run_action

PROFILE = profiles.load("ml-m1")
# What facts.sh prints on a MacBook Air M1; sw_vers, sysctl and dscl as in macOS 15.6.1.
MAC = {
    "system": "Darwin",
    "machine": "arm64",
    "user": "ana",
    "uid": "501",
    "home": "/Users/ana",
    "data": "/Users/ana/.local/share/metal-lab",
    "prefix": "/Users/ana/.local/share/metal-lab/envs/ml-m1",
    "env_present": "0",
    "translated": "0",
    "macos": "15.6.1",
    "cpu": "Apple M1",
    "shell": "/bin/zsh",
    "zdotdir": "",
    "login_file": "/Users/ana/.zprofile",
    "disk_at": "/Users/ana",
    "disk_free_kib": str(40 * 10**6),
    "developer": "there",
    "developer_at": "/Library/Developer/CommandLineTools",
    "homebrew_git_owner": "",
    "writable": "1",
    "groups": "staff everyone localaccounts admin",
    "sudo_asks": "1",
    "tools": "0",
    "homebrew": "absent",
    "homebrew_prefix": "/opt/homebrew",
    "homebrew_owner": "",
    "homebrew_holds": "",
    "shellenv": "0",
    "conda": "",
    "conda_owner": "",
    "conda_writable": "0",
    "env": "",
    "env_owner": "",
    "env_writable": "0",
    "wheels": "",
    "end": "1",
}
CONVERGED = {
    "tools": "1",
    "homebrew": "brew",
    "homebrew_owner": "ana",
    "conda": "/Users/ana/miniforge3",
    "conda_owner": "ana",
    "conda_writable": "1",
    "env": "/Users/ana/miniforge3/envs/ml-m1",
    "env_owner": "ana",
    "env_writable": "1",
}
ORDER = mac.Order(provider="conda", homebrew=True, homebrew_user="", password=True)


def answer(**changes: str) -> str:
    return "".join(f"{key}={value}\n" for key, value in {**MAC, **changes}.items())


def problems(**changes: str) -> list[str]:
    return problems_of(ORDER, **changes)


def problems_of(order: mac.Order, **changes: str) -> list[str]:
    return judge(parse(answer(**changes)), PROFILE, PROFILE.frameworks_on("darwin-arm64"), order)


def test_a_good_mac_is_not_refused() -> None:
    assert problems() == []
    assert problems(**CONVERGED) == []
    assert parse(answer()).platform == "darwin-arm64"
    assert problems(disk_free_kib="7812500") == []


def test_what_the_script_says_is_typed() -> None:
    names = (
        "system",
        "machine",
        "user",
        "home",
        "data",
        "shell",
        "zdotdir",
        "login_file",
        "prefix",
        "disk_at",
        "macos",
    )
    flags = {"env_present": True, "writable": True, "translated": False}
    mac = {**{key: MAC[key] for key in ("user", "homebrew_holds")}, **CONVERGED, "uid": 501, "sudo_asks": True}
    mac |= {"macos": "15.6.1", "cpu": "Apple M1", "wheels": (("mlx", 15), ("mlx-metal", 15))}
    mac |= {key: MAC[key] for key in ("developer", "developer_at", "homebrew_git_owner")}
    mac |= {"groups": ("staff", "everyone", "localaccounts", "admin"), "homebrew_prefix": "/opt/homebrew"}
    mac |= {**dict.fromkeys(("tools", "conda_writable", "env_writable"), True), "shellenv": False}
    facts = parse(answer(**CONVERGED, env_present="1", wheels="mlx=15 mlx_metal=15"))
    assert asdict(facts) == {**{key: MAC[key] for key in names}, **flags, "disk_free_kib": 40 * 10**6, "mac": mac}
    assert parse(answer(translated="1")).translated
    everywhere = {key: MAC[key] for key in (*names[:-1], "disk_free_kib", "writable", "env_present", "end")}
    other = parse("".join(f"{key}={value}\n" for key, value in {**everywhere, "system": "Linux"}.items()))
    assert (other.macos, other.translated) == ("", False)
    assert parse(answer(home="/Users/a=b=c")).home == "/Users/a=b=c"


@pytest.mark.parametrize(
    ("changes", "found", "needed"),
    [
        ({"machine": "x86_64"}, "Darwin on x86_64", "darwin-arm64"),
        ({"machine": "x86_64", "translated": "1"}, "Rosetta", "native shell"),
        ({"system": "FreeBSD"}, "FreeBSD", "linux-x86_64"),
        ({"macos": "13.7.8"}, "macOS 13.7.8", "14.4 or newer"),
        ({"macos": "14.3.1"}, "macOS 14.3.1", "14.4 or newer"),
        ({"macos": "fifteen"}, "'fifteen'", "not a macOS version"),
        ({"disk_free_kib": "2000000"}, "2.0 GB free at /Users/ana", "8 GB"),
        # One KiB less than 8 GB.
        ({"disk_free_kib": "7812499"}, "8.0 GB free at /Users/ana", "8 GB"),
        ({"macos": "15"}, "'15'", "not a macOS version"),
        ({"disk_free_kib": "1"}, "What macOS would purge by itself is not counted", "8 GB"),
        ({"developer": "licence"}, "(/Library/Developer/CommandLineTools) is not accepted", "sudo xcodebuild -license"),
        ({"developer": "gone", "tools": "1"}, "CommandLineTools, which is not there", "sudo xcode-select --switch"),
        ({"developer": "incomplete", "tools": "1"}, "which has no git or no python3", "damaged, remove that folder"),
        (
            {"homebrew": "clone", "homebrew_owner": "ana", "homebrew_git_owner": "root"},
            "/opt/homebrew/.git, owned by root",
            "sudo chown -R ana /opt/homebrew/.git",
        ),
        ({"writable": "0"}, "cannot be written to by ana", "env_prefix"),
        ({"groups": "staff everyone"}, "is not an administrator of this Mac (groups: staff, everyone)", "ansible_user"),
        ({"homebrew": "foreign", "homebrew_holds": "thesis"}, "not Homebrew's (thesis)", "Move them away"),
        ({"homebrew": "brew", "homebrew_owner": "eva"}, "owned by eva", "Set homebrew_user to eva"),
        ({"user": "root", "uid": "0"}, "brew would run as root", "an ordinary administrator"),
        ({"env": "/opt/e", "env_owner": "eva"}, "belongs to eva and cannot be changed by ana", "to run as eva"),
        ({"conda": "/opt/anaconda3", "conda_owner": "root"}, "belongs to root", "Set miniforge_prefix"),
    ],
)
def test_an_obstacle_is_named_with_what_is_needed(changes: dict[str, str], found: str, needed: str) -> None:
    (problem,) = problems(**changes)
    assert found in problem
    assert needed in problem


def test_sudo_is_asked_for_what_needs_it_and_only_then() -> None:
    without = replace(ORDER, password=False)
    (both,) = problems_of(without)
    assert "install the Command Line Tools and make /opt/homebrew for Homebrew" in both
    assert "--ask-become-pass" in both
    (tools,) = problems_of(without, **{**CONVERGED, "tools": "0"})
    assert "install the Command Line Tools: the password" in tools
    assert problems_of(without, **CONVERGED, groups="staff") == []
    assert problems_of(without, sudo_asks="0", groups="staff") == []
    (cut_off,) = problems_of(without, tools="1", homebrew="clone", homebrew_owner="ana")
    assert "Needed, to make /opt/homebrew for Homebrew" in cut_off
    (empty,) = problems_of(without, tools="1", homebrew="empty")
    assert "Needed, to make /opt/homebrew for Homebrew: the password" in empty
    assert problems_of(replace(without, homebrew_user="ana"), **CONVERGED) == []
    assert problems_of(replace(without, homebrew=False), user="root", uid="0", groups="wheel") == []
    assert problems_of(replace(without, homebrew_user="ana"), user="root", uid="0", groups="wheel") == []


def test_what_the_run_leaves_out_stands_in_nobodys_way() -> None:
    without = replace(ORDER, homebrew=False, provider="uv", password=False)
    assert problems_of(without, tools="1", homebrew="foreign") == []
    assert problems_of(without, tools="1", conda="/opt/anaconda3", conda_owner="root") == []
    assert problems_of(without, tools="1", homebrew_owner="eva", homebrew="brew") == []
    assert problems_of(replace(without, homebrew_user="eva"), **CONVERGED) == []
    there = {"env": "/opt/e", "env_owner": "ana", "env_writable": "1"}
    assert problems(conda="/opt/anaconda3", conda_owner="root", **there) == []
    assert problems(conda="/opt/anaconda3", conda_owner="ana", conda_writable="1") == []


def test_what_only_a_mac_has_stands_in_the_way_of_no_other_machine() -> None:
    other = parse(answer(system="Linux", machine="x86_64", translated="1", macos="", homebrew="foreign"))
    assert judge(other, PROFILE, PROFILE.frameworks_on("linux-x86_64"), ORDER) == []


def test_brew_may_run_as_its_owner() -> None:
    eva = replace(ORDER, homebrew_user="eva")
    assert problems_of(eva, homebrew="brew", homebrew_owner="eva") == []
    assert "owned by ana" in problems_of(eva, homebrew="brew", homebrew_owner="ana")[0]
    assert "owned by ana" in problems_of(eva, homebrew="clone", homebrew_owner="ana")[0]
    (sudo,) = problems_of(replace(eva, password=False), **{**CONVERGED, "homebrew_owner": "eva"})
    assert "Needed, to run brew as eva: the password" in sudo


def test_the_floor_itself_and_a_two_digit_minor_are_new_enough() -> None:
    assert problems(macos="14.4") == []
    assert problems(macos="14.10") == []
    assert problems(macos="26.2") == []


def test_the_provider_follows_the_system_unless_it_is_named() -> None:
    assert choose_provider("", "Darwin") == "conda"
    assert choose_provider("", "Linux") == "uv"
    assert choose_provider("uv", "Darwin") == "uv"
    with pytest.raises(UserError, match=r"'pip' is unknown. Set it to conda or uv"):
        choose_provider("pip", "Linux")


def test_all_obstacles_are_named_at_once() -> None:
    assert len(problems(macos="13.0", disk_free_kib="1", writable="0", homebrew="foreign", groups="staff")) == 5


def test_a_converged_machine_needs_no_free_space() -> None:
    assert problems(disk_free_kib="1", env_present="1") == []


def test_an_unknown_framework_is_an_obstacle() -> None:
    (problem,) = judge(parse(answer()), PROFILE, ["mlx", "caffe"], ORDER)
    assert "'caffe' is unknown" in problem


@pytest.mark.parametrize(
    "spoiled",
    [
        "",
        "motd only\n",
        answer().replace("end=1\n", ""),
        answer(disk_free_kib="lots"),
        answer(homebrew="maybe"),
        answer(developer="maybe"),
        answer(tools="yes"),
        answer(end="0"),
        answer(writable="2"),
        answer(uid="ana"),
        answer().replace("homebrew_holds=\n", ""),
    ],
)
def test_an_answer_that_is_cut_off_or_strange_is_an_error_that_shows_it(spoiled: str) -> None:
    with pytest.raises(UserError, match="not complete"):
        parse(spoiled)


def test_a_login_banner_does_not_disturb() -> None:
    assert parse(f"Welcome to lab-07!\n{answer()}") == parse(answer())


def script(home: Path, *arguments: str) -> str:
    return by_shell(SCRIPT, home, *arguments, "/opt/homebrew")


def test_the_script_answers_completely_on_this_machine(tmp_path: Path) -> None:
    home = tmp_path / "a home of ç"
    home.mkdir()
    facts = parse(script(home, "ml-m1", ""))
    assert facts.home == str(home)
    assert facts.prefix == f"{home}/.local/share/metal-lab/envs/ml-m1"
    assert facts.disk_at == str(home)
    assert facts.disk_free_kib is not None
    assert facts.disk_free_kib > 0
    assert not facts.env_present
    assert list(home.iterdir()) == []


def test_the_script_takes_hostile_arguments_as_text(tmp_path: Path) -> None:
    hostile = f"{tmp_path}/$(touch {tmp_path}/harm); `touch {tmp_path}/harm`"
    assert parse(script(tmp_path, "ml-m1", hostile)).prefix == hostile
    assert not (tmp_path / "harm").exists()


def test_the_script_finds_the_environment_through_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    python = tmp_path / "miniforge3" / "envs" / "é env" / "bin" / "python"
    record = {"schema": 1, "profile": "ml-m1", "provider": "conda", "prefix": str(python.parent.parent), "shell": "x"}
    lab_record.write("ml-m1", record)
    assert not parse(script(tmp_path, "ml-m1", "")).env_present
    python.parent.mkdir(parents=True)
    python.touch(mode=0o755)
    assert parse(script(tmp_path, "ml-m1", "")).env_present


def test_the_script_sees_an_environment_that_is_there(tmp_path: Path) -> None:
    python = tmp_path / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch(mode=0o755)
    facts = parse(script(tmp_path, "ml-m1", str(tmp_path / "env")))
    assert facts.env_present
    assert facts.disk_at == str(tmp_path / "env")


# Stand-ins for a Mac's own tools, as far as the script asks them: uname(1), sw_vers(1) and sysctl(8) of macOS 15.6.1,
# dscl(1) with one user, id(1) of an administrator, sudo(8) -n where a password is needed. They answer nothing else.
TOOLS = {
    "uname": "case $1 in -s) echo Darwin ;; -m) echo arm64 ;; -n) echo lab-07 ;; *) exit 64 ;; esac",
    "sw_vers": '[ "$SYSTEM_VERSION_COMPAT$LC_ALL$*" = 0C-productVersion ] && echo 15.6.1',
    "sysctl": "case $* in *proc_translated) echo 0 ;; '-in machdep.cpu.brand_string') echo Apple M1 ;; "
    "'-n kern.bootsessionuuid') echo 1F-2E ;; *) exit 64 ;; esac",
    "dscl": '[ "$*" = "/Search -read /Users/ana UserShell" ] && echo "UserShell: /bin/zsh"',
    "id": "case $1 in -un) echo ana ;; -u) echo 501 ;; -Gn) echo staff everyone admin ;; *) exit 64 ;; esac",
    "sudo": '[ "$*" = "-kn true" ] && echo "sudo: a password is required" >&2; exit 1',
    "git": 'echo "a window opens" >&2; exit 1',
    "xcode-select": "exit 2",
}


def put_tools(folder: Path, **others: str) -> Path:
    """Put the stand-ins into a folder, beside a home."""
    tools = folder / "tools"
    for made in (tools, folder / "home"):
        made.mkdir(exist_ok=True)
    for name, text in {**TOOLS, **others}.items():
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755)
    return tools


def mac_script(tmp_path: Path, homebrew: Path, *conda: str) -> mac.Mac:
    """Run the script where the stand-ins come first."""
    tools, home = put_tools(tmp_path), tmp_path / "home"
    found = parse(by_shell(SCRIPT, home, "ml-m1", "", str(homebrew), *conda, path=f"{tools}:/usr/bin:/bin")).mac
    assert found is not None
    return found


def test_the_script_tells_what_stands_in_homebrews_place(tmp_path: Path) -> None:
    prefix, me = tmp_path / "a prefix", getpass.getuser()

    def seen() -> tuple[str, str, str]:
        mac = mac_script(tmp_path, prefix)
        return mac.homebrew, mac.homebrew_owner, mac.homebrew_holds

    assert seen() == ("absent", "", "")
    prefix.mkdir()
    assert seen() == ("empty", me, "")
    (prefix / "thesis").touch()
    (prefix / "notes").touch()
    assert seen() == ("foreign", me, "notes thesis")
    (prefix / ".git").mkdir()
    assert seen()[0] == "clone"
    (prefix / "bin").mkdir()
    (prefix / "bin" / "brew").touch()
    assert seen()[0] == "brew"
    # git writes HEAD last: a branch without a commit is a clone that was cut off, with a part of its files.
    (prefix / ".git" / "HEAD").write_text("ref: refs/heads/stable\n")
    assert seen()[0] == "clone"
    (prefix / ".git" / "packed-refs").write_text(f"{'0' * 40} refs/heads/stable\n")
    assert seen()[0] == "brew"
    (prefix / ".git" / "packed-refs").write_text(f"{'0' * 40} refs/heads/stable-2\n")
    assert seen()[0] == "clone"
    (prefix / ".git" / "refs" / "heads").mkdir(parents=True)
    (prefix / ".git" / "refs" / "heads" / "stable").write_text("0" * 40)
    assert seen()[0] == "brew"
    (prefix / ".git" / "HEAD").write_text("0" * 40)
    assert seen()[0] == "brew"
    (prefix / ".git" / "HEAD").write_text("ref: refs/heads/.invalid\n")
    assert seen()[0] == "clone"
    (prefix / ".git" / "reftable").mkdir()
    assert seen()[0] == "brew"


def test_the_script_tells_what_gits_and_pythons_stubs_lead_to_without_running_them(tmp_path: Path) -> None:
    """Nothing but xcode-select before a folder with both was named: a stub would open a window."""
    folder = tmp_path / "Developer"
    seen: list[tuple[str, str]] = []
    for make in ((), (), ("usr/bin/git",), ("usr/bin/python3",)):
        if seen:
            (folder / "usr" / "bin").mkdir(parents=True, exist_ok=True)
        for name in make:
            (folder / name).touch(mode=0o755)
        tools = put_tools(tmp_path, **{"xcode-select": f'[ "$*" = -p ] && echo {folder}'})
        arguments = (SCRIPT, tmp_path / "home", "ml-m1", "", str(tmp_path / "none"))
        found = parse(by_shell(*arguments, path=f"{tools}:/usr/bin:/bin")).mac
        assert found is not None
        seen.append((found.developer, found.developer_at))
    assert seen == [(one, str(folder)) for one in ("gone", "incomplete", "incomplete", "there")]
    assert mac_script(tmp_path, tmp_path / "none").developer == "none"


@pytest.mark.parametrize(
    ("said", "free"),
    [
        (
            "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/disk3s5 482797652 9 40000000 1% /Data\n",
            40000000,
        ),
        # The first column with spaces, the last with a percentage.
        ("Filesystem 1024-blocks Used Available Capacity Mounted on\nmap auto_home 0 0 0 100% /home\n", 0),
        ("Filesystem 1024-blocks Used Available Capacity Mounted on\n//e@x/My Share 9 8 7 6% /Volumes/5% off\n", 7),
        ("Filesystem 1024-blocks Used Available Capacity Mounted on\nnone - - - - /net\n", None),
        ("", None),
    ],
)
def test_the_script_reads_whatever_df_says(tmp_path: Path, said: str, free: int | None) -> None:
    text = f"printf '{said.replace('%', '%%')}'" if said else "echo 'df: /: Input/output error' >&2; exit 1"
    tools = put_tools(tmp_path, df=text)
    facts = parse(by_shell(SCRIPT, tmp_path / "home", "ml-m1", "", "/none", path=f"{tools}:/usr/bin:/bin"))
    assert facts.disk_free_kib == free
    told = preflight.notes(facts, PROFILE, ORDER)
    assert any(one.startswith("df did not tell how much is free at ") for one in told) == (free is None)
    assert any("GB free at" in one for one in judge(facts, PROFILE, [], ORDER)) == (free is not None and free < 10**6)


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        (".zprofile", b'eval "$(/opt/homebrew/bin/brew shellenv)"\n', True),
        (".zshrc", b'# caf\xe9\n\t eval "$(/opt/homebrew/bin/brew" shellenv)"\n', True),
        (".zlogin", b"x=1\neval $(brew shellenv)", True),
        (".zshenv", b'# eval "$(/opt/homebrew/bin/brew shellenv)"\n', False),
        (".bashrc", b'eval "$(/opt/homebrew/bin/brew shellenv)"\n', False),
    ],
)
def test_the_script_sees_a_login_shell_that_finds_homebrew(
    tmp_path: Path, name: str, content: bytes, found: bool
) -> None:
    home = tmp_path / "home"
    (home / ".zlogout").mkdir(parents=True)
    assert not mac_script(tmp_path, tmp_path / "none").shellenv
    (home / name).write_bytes(content)
    assert mac_script(tmp_path, tmp_path / "none").shellenv is found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ""),
        ("ZDOTDIR=$HOME/dots", "/home/dots"),
        ("echo hello; printf zdotdir=/x; ZDOTDIR=~/a\\ b", "/home/a b"),
        ("exit", ""),
    ],
)
def test_the_script_asks_zsh_itself_for_its_folder(tmp_path: Path, text: str, found: str) -> None:
    """Most people set it in .zshenv, without export."""
    tools, home = put_tools(tmp_path), tmp_path / "home"
    (home / ".zshenv").write_text(f"{text}\n")
    (home / "dots").mkdir()
    (home / "dots" / ".zprofile").write_text('eval "$(/opt/homebrew/bin/brew shellenv)"\n')
    facts = parse(by_shell(SCRIPT, home, "ml-m1", "", str(tmp_path / "none"), path=f"{tools}:/usr/bin:/bin"))
    assert facts.zdotdir == (f"{tmp_path}{found}" if found else "")
    assert facts.mac is not None
    assert facts.mac.shellenv is (found == "/home/dots")


@pytest.mark.parametrize(
    ("there", "name", "found"),
    [
        ([], ".bash_profile", False),
        ([".profile"], ".profile", True),
        ([".bash_login", ".profile"], ".bash_login", True),
        ([".profile", ".bash_profile"], ".bash_profile", True),
        ([".zprofile"], ".bash_profile", False),
        ([".bashrc"], ".bash_profile", True),
    ],
)
def test_the_script_finds_the_file_of_a_login_bash(tmp_path: Path, there: list[str], name: str, found: bool) -> None:
    tools, home = put_tools(tmp_path, dscl='echo "UserShell: /opt/homebrew/bin/bash"'), tmp_path / "home"
    for one in there:
        (home / one).write_text('eval "$(/opt/homebrew/bin/brew shellenv)"\n')
    facts = parse(by_shell(SCRIPT, home, "ml-m1", "", str(tmp_path / "none"), path=f"{tools}:/usr/bin:/bin"))
    assert facts.login_file == str(home / name)
    assert facts.mac is not None
    assert facts.mac.shellenv is found


def test_settings_that_a_role_cannot_take_are_refused_before_anything_is_asked(home: Path) -> None:
    over = connection()
    refused = run(home, variables={"homebrew_formulae": "git", "uv_env_recreate": "x"}, over=over)
    assert refused["msg"].startswith("Nothing was changed. Settings that a role cannot take:\n- homebrew: ")
    assert "\n- uv_env: " in refused["msg"]
    assert over.lines == []


def test_the_script_tells_who_may_use_sudo(tmp_path: Path) -> None:
    mac = mac_script(tmp_path, tmp_path / "none")
    assert (mac.user, mac.uid, mac.groups, mac.sudo_asks) == ("ana", 501, ("staff", "everyone", "admin"), True)


def test_the_script_finds_conda_and_the_environment_in_it(tmp_path: Path) -> None:
    conda = tmp_path / "home" / "miniforge3"
    for file in (conda / "bin" / "conda", conda / "envs" / "x" / "bin" / "python"):
        file.parent.mkdir(parents=True)
        file.touch(mode=0o755)
    mac = mac_script(tmp_path, tmp_path / "none")
    assert (mac.conda, mac.conda_owner, mac.conda_writable) == (str(conda), getpass.getuser(), True)
    assert mac.env == ""
    (conda / "envs" / "x").rename(conda / "envs" / "ml-m1")
    assert mac_script(tmp_path, tmp_path / "none").env == str(conda / "envs" / "ml-m1")
    elsewhere = mac_script(tmp_path, tmp_path / "none", "~/my conda")
    assert elsewhere.conda == ""
    conda.rename(tmp_path / "home" / "my conda")
    assert mac_script(tmp_path, tmp_path / "none", "~/my conda").conda == f"{tmp_path}/home/my conda"


def test_the_script_passes_over_a_conda_made_for_intel(tmp_path: Path) -> None:
    homes = [tmp_path / "home" / name for name in ("miniforge3", "opt/anaconda3")]
    for conda, subdir in zip(homes, ("osx-64", "osx-arm64"), strict=True):
        (conda / "bin").mkdir(parents=True)
        (conda / "bin" / "conda").touch(mode=0o755)
        (conda / "conda-meta").mkdir()
        (conda / "conda-meta" / "python-3.13.0-h1_cpython.json").write_text(json.dumps({"subdir": subdir}, indent=2))
    assert mac_script(tmp_path, tmp_path / "none").conda == str(homes[1])


def test_conda_is_looked_for_where_the_role_miniforge_looks() -> None:
    role = yaml.safe_load((ROOT / "roles/miniforge/vars/main.yml").read_text(encoding="utf-8"))["__miniforge_places"]
    written = {"home": "$HOME", "homebrew": "$homebrew", "cask_root": "$homebrew/Caskroom/miniforge/base"}
    names = [re.sub(r"\{\{ __miniforge_(\w+) }}", lambda name: written[name[1]], place) for place in role]
    line = SCRIPT.read_text(encoding="utf-8").split("|| set -- ")[1].split("conda=")[0].replace("\\\n", " ")
    assert [word.strip('"') for word in line.split()] == names


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of a Mac whose environment is there, so that its disk may be as full as it is."""
    tools = put_tools(tmp_path)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_DATA_HOME", "ZDOTDIR"):
        monkeypatch.delenv(name, raising=False)
    python = home / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch(mode=0o755)
    return home


ALL_TAGS = {"ansible_run_tags": ["all"], "ansible_skip_tags": []}


def run(
    home: Path, options: dict[str, Any] | None = None, variables: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """The action, on a Mac where the run has a password for sudo."""
    base: dict[str, Any] = {"profile": "ml-m1", "prefix": str(home / "env"), "frameworks": [], "provider": ""}
    base |= {
        "homebrew_prefix": str(home.parent / "homebrew"),
        "homebrew_user": "",
        "homebrew_enabled": True,
        "conda_places": [str(home / "c")],
    }
    base |= {"environment": {}, "lock": True, "wave": [], "wave_max_failed": 0, **(options or {})}
    known = {**ALL_TAGS, **(variables or {})}
    return run_action(preflight.ActionModule, base, variables=known, **{"password": "secret", **more})


def lock_of(home: Path) -> Path:
    return home / ".local" / "share" / "metal-lab" / "run.lock"


def test_a_machine_is_described_and_its_lock_taken(home: Path) -> None:
    over = connection()
    result = run(home, {"environment": {"ZDOTDIR": "/z", "HTTPS_PROXY": "x"}}, over=over)
    host = {
        **{"profile": "ml-m1", "python_version": "3.11", "platform": "darwin-arm64", "provider": "conda"},
        **{"frameworks": PROFILE.frameworks_on("darwin-arm64"), "environment": {"ZDOTDIR": "/z", "HTTPS_PROXY": "x"}},
        **{"homebrew": False, "shellenv": False, "conda": ""},
        **{"tools": False, "system": "Darwin", "machine": "arm64", "user": "ana", "home": str(home)},
        **{"data": f"{home}/.local/share/metal-lab", "zdotdir": "/z", "login_file": "/z/.zprofile"},
        **{"prefix": str(home / "env")},
        **{"env_present": True, "shell": "/bin/zsh", "sets": ["base", *PROFILE.frameworks_on("darwin-arm64")]},
    }
    python = {"discovered_interpreter_python": "/usr/bin/python3"}
    assert result == {"changed": False, "profile": "ml-m1", "ansible_facts": {"preflight_host": host, **python}}
    assert lock_of(home).exists()
    assert len(over.lines) == 1


def test_a_machine_without_macos_brings_its_tools_and_gets_the_selection(home: Path, tmp_path: Path) -> None:
    put_tools(tmp_path, uname="case $1 in -s) echo Linux ;; -m) echo x86_64 ;; *) echo lab-07 ;; esac")
    play = [{"ZDOTDIR": "/play", "XDG_DATA_HOME": str(home / "data")}]
    facts = run(home, {"frameworks": ["mlx"], "lock": False}, environment=play)["ansible_facts"]
    assert set(facts) == {"preflight_host"}
    host = facts["preflight_host"]
    assert (host["provider"], host["tools"], host["frameworks"]) == ("uv", True, ["mlx"])
    assert (host["zdotdir"], host["data"]) == ("/play", str(home / "data" / "metal-lab"))
    assert not lock_of(home).exists()


@pytest.mark.parametrize(
    ("run_tags", "skip_tags", "sets"),
    [
        (["all"], [], ["base", "mlx", "jax"]),
        (["base"], [], ["base"]),
        (["frameworks"], [], ["mlx", "jax"]),
        (["jax", "base"], [], ["base", "jax"]),
        (["shell"], [], []),
        (["all"], ["jax"], ["base", "mlx"]),
        (["all"], ["frameworks"], ["base"]),
        (["mlx"], ["base", "verify"], ["mlx"]),
    ],
)
def test_the_runs_tags_say_which_packages_are_installed(
    home: Path, run_tags: list[str], skip_tags: list[str], sets: list[str]
) -> None:
    variables = {"ansible_run_tags": run_tags, "ansible_skip_tags": skip_tags}
    answer = run(home, {"frameworks": ["mlx", "jax"], "lock": False}, variables=variables)
    assert sorted(answer["ansible_facts"]["preflight_host"]["sets"]) == sorted(sets)


@pytest.mark.parametrize(
    ("password", "variables", "needed"),
    [
        ("", {}, "Needed, to install the Command Line Tools and make"),
        ("", {"ansible_run_tags": ["env", "system"]}, "Needed, to install the Command Line Tools and make"),
        ("", {"ansible_run_tags": ["env"]}, "Needed, to install the Command Line Tools: the password"),
        ("", {"ansible_skip_tags": ["system"]}, "Needed, to install the Command Line Tools: the password"),
        ("", {"ansible_become_password": "x"}, ""),
        ("", {"ansible_become_pass": "x"}, ""),
        ("", {"ansible_sudo_pass": "x"}, ""),
        ("", {"ansible_become_password": ""}, "the password"),
        ("x", {}, ""),
    ],
)
def test_what_the_run_does_decides_what_is_needed(
    home: Path, password: str, variables: dict[str, Any], needed: str
) -> None:
    result = run(home, {"lock": False}, variables, password=password)
    assert result.get("failed", False) is bool(needed)
    assert needed in result.get("msg", "")
    if needed:
        assert result["msg"].startswith("Nothing was changed: 1 problem to solve first.\n- Found that sudo asks ana")


def test_a_mac_that_is_to_have_no_homebrew_needs_nothing_for_it(home: Path) -> None:
    result = run(home, {"lock": False, "homebrew_enabled": False}, password="")
    assert "Needed, to install the Command Line Tools: the password" in result["msg"]


BOTTLES, NEURAL = "no ready-made packages for macOS", "the neural accelerators of this"


@pytest.mark.parametrize(
    ("macos", "cpu", "homebrew", "notes"),
    [
        ("14.8.2", "Apple M1", True, [BOTTLES]),
        ("14.8.2", "Apple M1", False, []),
        ("15.0", "Apple M1", True, []),
        ("14.8.2", "Apple M5 Max", True, [BOTTLES, NEURAL]),
        ("15.7.1", "Apple M5", False, [NEURAL]),
        ("26.1", "Apple M6", True, [NEURAL]),
        ("26.1.1", "Apple M10 Ultra", True, [NEURAL]),
        ("26.2", "Apple M5", True, []),
        ("27.0", "Apple M5", True, []),
        ("26.1", "Apple M4 Max", True, []),
        ("26.1", "Apple A18 Pro", True, []),
        ("26.1", "Apple M5 (Virtual)", True, []),
        ("26.1", "", True, []),
    ],
)
def test_what_a_mac_gives_up_by_its_macos_is_told_in_a_line(
    macos: str, cpu: str, homebrew: bool, notes: list[str]
) -> None:
    seen = parse(answer(macos=macos, cpu=cpu)).mac
    assert seen is not None
    told = mac.notes(seen, replace(ORDER, homebrew=homebrew))
    assert [next(one for one in (BOTTLES, NEURAL) if one in line) for line in told] == notes
    assert not any("\n" in line for line in told)


@pytest.mark.parametrize(
    ("macos", "wheels", "said"),
    [
        (
            "26.2",
            "mlx=15 mlx_metal=15 numpy=14",
            "mlx (for 15, there is one for 26), mlx-metal (for 15, there is one for 26)",
        ),
        ("26.2", "mlx=26 mlx_metal=26 numpy=14", ""),
        ("27.0", "mlx=26", ""),
        ("15.6.1", "mlx=26", "mlx (for 26, there is one for 15)"),
        ("15.6.1", "", ""),
        ("13.0", "mlx=14", ""),
    ],
)
def test_wheels_for_another_macos_are_told(macos: str, wheels: str, said: str) -> None:
    seen = parse(answer(**CONVERGED, macos=macos, wheels=wheels)).mac
    assert seen is not None
    lines = mac.wheels(seen, {"mlx": (14, 15, 26), "mlx-metal": (14, 15, 26)})
    assert len(lines) == bool(said)
    assert not said or f"are for another macOS than {macos}: {said}. They are left" in lines[0]


def test_the_script_reads_the_wheels_of_an_environment(tmp_path: Path) -> None:
    conda = tmp_path / "home" / "miniforge3"
    env = conda / "envs" / "ml-m1"
    site = env / "lib" / "python3.11" / "site-packages"
    for file in (conda / "bin" / "conda", env / "bin" / "python"):
        file.parent.mkdir(parents=True)
        file.touch(mode=0o755)
    assert mac_script(tmp_path, tmp_path / "none").wheels == ()
    for name, tags in {
        "mlx_metal-0.32.4": ["py3-none-macosx_15_0_arm64"],
        "two-1": ["cp311-cp311-macosx_11_0_universal2", "cp311-cp311-macosx_10_9_x86_64"],
        "any-1": ["py3-none-any"],
        "x y-1": ["py3-none-macosx_15_0_arm64"],
        "far-1": ["py3-none-macosx_9999_0_arm64"],
    }.items():
        (site / f"{name}.dist-info").mkdir(parents=True)
        (site / f"{name}.dist-info" / "WHEEL").write_text("".join(f"Tag: {tag}\n" for tag in tags))
    (env / "lib" / "python3.1").symlink_to("python3.11")
    assert mac_script(tmp_path, tmp_path / "none").wheels == (("mlx-metal", 15), ("two", 11))


def test_the_lines_are_warnings_that_name_the_mac(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(Display, "warning", lambda _, text: said.append(text))
    run(home, {"lock": False})
    assert said == []
    put_tools(tmp_path, sw_vers="echo 14.8.2")
    assert not run(home, {"lock": False}, {"inventory_hostname": "lab-07"}).get("failed")
    (line,) = said
    assert line.startswith("lab-07: Homebrew makes no ready-made packages for macOS 14.8.2 any more")
    assert line.endswith("(homebrew_enabled: false).")


def test_what_stands_in_the_way_is_said_at_once_and_the_lock_given_back(home: Path) -> None:
    wrong = {"homebrew_user": "root", "frameworks": ["caffe"]}
    for check in (False, True):
        if check:
            # In check mode none is taken, so none is given back: this one is of the run before.
            run(home)
        refused = run(home, wrong, check=check)
        assert refused["msg"].startswith("Nothing was changed: 2 problems to solve first.\n- ")
        assert "'caffe' is unknown" in refused["msg"]
        assert "\n- Found that brew would run as root" in refused["msg"]
        assert lock_of(home).exists() is check
    run(home, {**wrong, "lock": False})
    assert lock_of(home).exists()


def test_another_run_at_work_is_a_problem_like_others(home: Path) -> None:
    run(home)
    text = lock_of(home).read_text(encoding="utf-8").replace("id=", "id=elsewhere/")
    # Whoever is refused is told what the other run is about.
    assert f"(process {os.getppid()}, profile ml-m1)\n" in text
    lock_of(home).write_text(text, encoding="utf-8")
    for check in (False, True):
        over = connection()
        refused = run(home, check=check, over=over)
        assert refused["msg"].startswith("Nothing was changed: 1 problem to solve first.\n- Another run is at work")
        assert (len(over.lines), lock_of(home).read_text(encoding="utf-8")) == (1, text)
    assert not run(home, {"lock": False}).get("failed")


def test_a_wave_is_not_begun_after_too_many_failures(home: Path) -> None:
    hosts = {"inventory_hostname": "c", "ansible_play_hosts_all": list("abcd"), "ansible_play_hosts": ["b", "c", "d"]}
    over = connection()
    refused = run(home, {"wave": [2], "wave_max_failed": 49.9}, hosts, over=over)
    assert (refused["failed"], refused["not_begun"], over.lines) == (True, True, [])
    assert "1 of 2 failed (a), and wave_max_failed allows 49.9 %" in refused["msg"]
    assert not run(home, {"wave": [2], "wave_max_failed": 50}, hosts).get("failed")
    assert not run(home, {"wave": []}, hosts).get("failed")


@pytest.mark.parametrize(
    ("options", "answers", "said"),
    [
        ({"profile": "none"}, (), "none"),
        ({"provider": "pip"}, (), "The env_provider 'pip' is unknown"),
        ({}, ((0, "motd", ""),), "answer to preflight is not complete"),
        ({}, ((0, answer(), ""),), "answer about its lock is not complete"),
        ({}, ((1, "", "no sh"),), "ended with exit code 1. It said:\nno sh"),
    ],
)
def test_a_question_that_cannot_be_answered_fails(
    home: Path, options: dict[str, Any], answers: tuple[tuple[int, str, str], ...], said: str
) -> None:
    refused = run(home, options, over=connection(*answers))
    assert refused["failed"]
    assert said in refused["msg"]
