"""Preflight: what the script prints is read strictly, and every obstacle is named with its way out."""

import subprocess
from pathlib import Path

import lab_record
import pytest

from roles.preflight.action_plugins.preflight import SCRIPT, choose_provider, judge, parse
from verify import profile
from verify.errors import UserError

PROFILE = profile.load("ml-m1")
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
    "end": "1",
}


def answer(**changes: str) -> str:
    return "".join(f"{key}={value}\n" for key, value in {**MAC, **changes}.items())


def problems(**changes: str) -> list[str]:
    return judge(parse(answer(**changes)), PROFILE, PROFILE.frameworks_on("darwin-arm64"))


def test_a_good_mac_is_not_refused() -> None:
    assert problems() == []
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
    ],
)
def test_an_obstacle_is_named_with_what_is_needed(changes: dict[str, str], found: str, needed: str) -> None:
    (problem,) = problems(**changes)
    assert found in problem
    assert needed in problem


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
    assert len(problems(macos="13.0", disk_free_kib="1", writable="0")) == 3


def test_a_converged_machine_needs_no_free_space() -> None:
    assert problems(disk_free_kib="1", env_present="1") == []


def test_an_unknown_framework_is_an_obstacle() -> None:
    (problem,) = judge(parse(answer()), PROFILE, ["mlx", "caffe"])
    assert "'caffe' is unknown" in problem


@pytest.mark.parametrize("spoiled", ["", "motd only\n", answer().replace("end=1\n", ""), answer(disk_free_kib="lots")])
def test_an_answer_that_is_cut_off_or_strange_is_an_error_that_shows_it(spoiled: str) -> None:
    with pytest.raises(UserError, match="not complete"):
        parse(spoiled)


def test_a_login_banner_does_not_disturb() -> None:
    assert parse(f"Welcome to lab-07!\n{answer()}") == parse(answer())


def script(home: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["/bin/sh", "-s", "--", *arguments],
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
