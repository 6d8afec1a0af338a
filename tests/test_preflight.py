"""Preflight: what the script prints is read strictly, and every obstacle is named with its way out."""

import getpass
import subprocess
from dataclasses import replace
from pathlib import Path

import lab_record
import pytest
import yaml

from roles.preflight import darwin
from roles.preflight.action_plugins.preflight import SCRIPT, choose_provider, judge, parse
from verify import ROOT
from verify.errors import UserError
from verify.profile import model as profiles

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
    "arm64_hardware": "1",
    "macos": "15.6.1",
    "shell": "/bin/zsh",
    "zdotdir": "",
    "disk_at": "/Users/ana",
    "disk_free_kib": str(40 * 10**6),
    "writable": "1",
    "groups": "staff everyone localaccounts admin",
    "sudo_asks": "1",
    "tools": "0",
    "homebrew": "absent",
    "homebrew_prefix": "/opt/homebrew",
    "homebrew_owner": "",
    "homebrew_holds": "",
    "conda": "",
    "conda_owner": "",
    "conda_writable": "0",
    "env": "",
    "env_owner": "",
    "env_writable": "0",
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
ORDER = darwin.Order(provider="conda", homebrew=True, homebrew_user="", password=True)


def answer(**changes: str) -> str:
    return "".join(f"{key}={value}\n" for key, value in {**MAC, **changes}.items())


def problems(**changes: str) -> list[str]:
    return problems_of(ORDER, **changes)


def problems_of(order: darwin.Order, **changes: str) -> list[str]:
    return judge(parse(answer(**changes)), PROFILE, PROFILE.frameworks_on("darwin-arm64"), order)


def test_a_good_mac_is_not_refused() -> None:
    assert problems() == []
    assert problems(**CONVERGED) == []
    assert parse(answer()).platform == "darwin-arm64"


@pytest.mark.parametrize(
    ("changes", "found", "needed"),
    [
        ({"machine": "x86_64"}, "Darwin on x86_64", "darwin-arm64"),
        ({"machine": "x86_64", "translated": "1"}, "Rosetta", "native shell"),
        ({"system": "FreeBSD"}, "FreeBSD", "linux-x86_64"),
        ({"macos": "13.7.8"}, "macOS 13.7.8", "14.4 or newer"),
        ({"macos": "14.3.1"}, "macOS 14.3.1", "14.4 or newer"),
        ({"macos": "fifteen"}, "'fifteen'", "no macOS version"),
        ({"disk_free_kib": "2000000"}, "2.0 GB free at /Users/ana", "8 GB"),
        ({"writable": "0"}, "cannot be written to by ana", "env_prefix"),
        ({"groups": "staff everyone"}, "ana is no administrator of this Mac (groups: staff, everyone)", "ansible_user"),
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
    assert problems_of(without, tools="1", homebrew="clone", homebrew_owner="ana") == []


def test_what_the_run_leaves_out_stands_in_nobodys_way() -> None:
    without = replace(ORDER, homebrew=False, provider="uv", password=False)
    assert problems_of(without, tools="1", homebrew="foreign") == []
    assert problems_of(without, tools="1", conda="/opt/anaconda3", conda_owner="root") == []


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
        answer(tools="yes"),
    ],
)
def test_an_answer_that_is_cut_off_or_strange_is_an_error_that_shows_it(spoiled: str) -> None:
    with pytest.raises(UserError, match="not complete"):
        parse(spoiled)


def test_a_login_banner_does_not_disturb() -> None:
    assert parse(f"Welcome to lab-07!\n{answer()}") == parse(answer())


def script(home: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["/bin/sh", "-s", "--", *arguments, "/opt/homebrew"],
        input=SCRIPT.read_text(encoding="utf-8"),
        env={"PATH": "/usr/bin:/bin", "HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


def test_the_script_answers_completely_on_this_machine(tmp_path: Path) -> None:
    home = tmp_path / "a home of ç"
    home.mkdir()
    facts = parse(script(home, "ml-m1", ""))
    assert facts.home == str(home)
    assert facts.prefix == f"{home}/.local/share/metal-lab/envs/ml-m1"
    assert facts.disk_at == str(home)
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
    "uname": "case $1 in -s) echo Darwin ;; -m) echo arm64 ;; *) exit 64 ;; esac",
    "sw_vers": '[ "$*" = -productVersion ] && echo 15.6.1',
    "sysctl": 'case $* in *proc_translated) echo 0 ;; "-in hw.optional.arm64") echo 1 ;; *) exit 64 ;; esac',
    "dscl": '[ "$*" = ". -read /Users/ana UserShell" ] && echo "UserShell: /bin/zsh"',
    "id": "case $1 in -un) echo ana ;; -u) echo 501 ;; -Gn) echo staff everyone admin ;; *) exit 64 ;; esac",
    "sudo": '[ "$*" = "-kn true" ] && echo "sudo: a password is required" >&2; exit 1',
    "git": 'echo "a window opens" >&2; exit 1',
}


def mac_script(tmp_path: Path, homebrew: Path, *conda: str) -> darwin.Mac:
    """Run the script where the stand-ins come first."""
    tools, home = tmp_path / "tools", tmp_path / "home"
    for folder in (tools, home):
        folder.mkdir(exist_ok=True)
    for name, text in TOOLS.items():
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", "-s", "--", "ml-m1", "", str(homebrew), *conda],
        input=SCRIPT.read_text(encoding="utf-8"),
        env={"PATH": f"{tools}:/usr/bin:/bin", "HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    found = parse(done.stdout).mac
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


def test_conda_is_looked_for_where_the_role_miniforge_looks() -> None:
    role = yaml.safe_load((ROOT / "roles/miniforge/vars/main.yml").read_text(encoding="utf-8"))["__miniforge_places"]
    names = [
        place.replace("{{ __miniforge_home }}", "$HOME").replace("{{ __miniforge_cask_root }}", "$homebrew/Cask")
        for place in role
    ]
    line = SCRIPT.read_text(encoding="utf-8").split("|| set -- ")[1].split("conda=")[0].replace("\\\n", " ")
    assert [word.strip('"').replace("room/miniforge/base", "") for word in line.split()] == names
