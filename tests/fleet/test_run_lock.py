"""The lock that keeps two runs apart on a machine: one gets it, a live holder keeps it, what is over is taken over."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from roles.preflight.action_plugins.run_lock import SCRIPT, commands, is_over, machine, obstacle, parse
from verify.errors import UserError


def lock(home: Path, action: str, run: str, *, dead: str = "") -> dict[str, str]:
    """What the script answers to a run, at the lock's place in a home."""
    place = home / ".local" / "share" / "metal-lab" / "run.lock"
    done = subprocess.run(
        ["/bin/sh", "-s", "--", action, str(place), run, f"who {run}", "noon", dead],
        input=SCRIPT.read_text(encoding="utf-8"),
        env={"PATH": "/usr/bin:/bin", "HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return parse(done.stdout)


def ended() -> int:
    """Number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


def test_it_is_taken_once_and_given_back_without_a_trace(tmp_path: Path) -> None:
    assert lock(tmp_path, "take", "elsewhere/1/7")["lock"] == "taken"
    assert lock(tmp_path, "take", "elsewhere/1/7")["lock"] == "taken"
    held = lock(tmp_path, "take", "elsewhere/1/8")
    assert (held["lock"], held["lock_who"], held["lock_since"]) == ("held", "who elsewhere/1/7", "noon")
    assert lock(tmp_path, "release", "elsewhere/1/8")["lock"] == "released"
    assert lock(tmp_path, "look", "elsewhere/1/8")["lock"] == "held"
    assert lock(tmp_path, "release", "elsewhere/1/7")["lock"] == "released"
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_before_stays_when_it_is_given_back(tmp_path: Path) -> None:
    note = tmp_path / ".local" / "share" / "metal-lab" / "ml-m1.json"
    note.parent.mkdir(parents=True)
    note.touch()
    lock(tmp_path, "take", "elsewhere/1/7")
    lock(tmp_path, "release", "elsewhere/1/7")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [note]


def test_looking_changes_nothing(tmp_path: Path) -> None:
    assert lock(tmp_path, "look", "elsewhere/1/7")["lock"] == "free"
    assert list(tmp_path.iterdir()) == []


def test_of_many_at_once_one_gets_it(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: lock(tmp_path, "take", f"elsewhere/1/{number}"), range(32)))
    assert sorted({one["lock"] for one in answers}) == ["held", "taken"]
    assert [one["lock"] for one in answers].count("taken") == 1


def test_of_many_that_take_over_at_once_one_gets_it(tmp_path: Path) -> None:
    lock(tmp_path, "take", "elsewhere/1/0")
    with ThreadPoolExecutor(16) as pool:
        answers = list(
            pool.map(lambda number: lock(tmp_path, "take", f"elsewhere/1/{number}", dead="elsewhere/1/0"), range(1, 33))
        )
    taken = [number for number, one in enumerate(answers, start=1) if one["lock"] == "taken"]
    assert len(taken) == 1
    assert lock(tmp_path, "look", "elsewhere/1/99")["lock_id"] == f"elsewhere/1/{taken[0]}"
    assert not (tmp_path / ".local" / "share" / "metal-lab" / "run.lock.over").exists()


def test_a_run_on_this_machine_holds_it_while_it_lives_and_no_longer(tmp_path: Path) -> None:
    lock(tmp_path, "take", f"{machine()}/{os.getpid()}")
    assert lock(tmp_path, "take", "elsewhere/1/8")["lock"] == "held"
    lock(tmp_path, "release", f"{machine()}/{os.getpid()}")
    lock(tmp_path, "take", f"{machine()}/{ended()}")
    answer = lock(tmp_path, "take", "elsewhere/1/8")
    assert answer["lock"] == "taken"
    assert answer["lock_left_by"].startswith(f"who {machine()}/")


def test_a_lock_from_before_a_restart_is_taken_over(tmp_path: Path) -> None:
    lock(tmp_path, "take", "elsewhere/1/7")
    place = tmp_path / ".local" / "share" / "metal-lab" / "run.lock"
    lines = place.read_text(encoding="utf-8").splitlines()
    place.write_text("\n".join([*(line for line in lines if not line.startswith("boot=")), "boot=then", ""]))
    assert lock(tmp_path, "take", "elsewhere/1/8")["lock"] == "taken"


def test_a_run_elsewhere_counts_as_alive_whatever_its_number(tmp_path: Path) -> None:
    lock(tmp_path, "take", f"elsewhere/1/{ended()}")
    held = lock(tmp_path, "take", "another/1/8")
    assert held["lock"] == "held"
    said = obstacle(held)
    assert "that of who elsewhere" in said
    assert f"rm '{tmp_path}/.local/share/metal-lab/run.lock'" in said


def test_a_place_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    (tmp_path / ".local").write_text("a file where a folder should be", encoding="utf-8")
    answer = lock(tmp_path, "take", "elsewhere/1/7")
    assert answer["lock"] == "unwritable"
    assert "df -h" in obstacle(answer)


def test_the_caller_knows_only_its_own_machine() -> None:
    assert is_over(f"{machine()}/{ended()}")
    assert not is_over(f"{machine()}/{os.getpid()}")
    assert not is_over(f"elsewhere/1/{ended()}")
    assert not is_over(f"{machine()}/-1")


def test_what_is_given_on_is_text_to_the_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", f"$(touch {tmp_path}/harm)'; touch {tmp_path}/harm; '")
    done = subprocess.run(
        ["/bin/sh", "-s"], input=commands("take"), env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert parse(done.stdout)["lock"] == "taken"
    assert not (tmp_path / "harm").exists()


def test_an_answer_that_is_cut_off_is_an_error_that_shows_it() -> None:
    with pytest.raises(UserError, match="not complete"):
        parse("lock=taken\n")
