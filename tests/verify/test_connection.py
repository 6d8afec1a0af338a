"""Commands on a machine: limited in time and in what they write, ended with all that they started, and understood."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import testinfra
from testinfra.backend.base import BaseBackend, CommandResult
from testinfra.host import Host

from tests.verify.test_remote import gone
from verify.documents import MalformedError
from verify.target import connection
from verify.target.connection import LostError, NoAnswerError


@pytest.fixture
def host() -> Host:
    return testinfra.get_host("local://")


def result(host: Host, output: str, errors: str = "") -> CommandResult:
    return CommandResult(host.backend, 0, b"", output.encode(), errors.encode())


def test_a_command_that_ends_in_time(host: Host) -> None:
    before = BaseBackend.run_local
    done = connection.run(host, 60, "cat; echo %s; echo err >&2; exit 3", "a 'b' $HOME")
    # Nothing to read, whatever this process could read.
    assert (done.rc, done.stdout, done.stderr) == (3, "a 'b' $HOME\n", "err\n")
    assert BaseBackend.run_local is before


@pytest.mark.parametrize(
    "script",
    [
        "sleep 1000 & wait",
        # Who closes what is read goes on all the same.
        "exec >&- 2>&-; sleep 1000 & wait",
        # Who does not listen is killed.
        "trap '' TERM; sleep 1000 & wait; wait",
    ],
)
def test_a_command_that_does_not_end_is_ended_with_what_it_started(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setattr(connection, "_TERMINATE_S", 0.2)
    before, place = BaseBackend.run_local, tmp_path / "pid"
    with pytest.raises(NoAnswerError, match=r"^no answer within 1\.5 s$"):
        connection.run(host, 1.5, f"echo $$ > {place}; {script}")
    assert gone(place.read_text().strip())
    assert BaseBackend.run_local is before


def test_a_command_may_write_so_much_and_no_more(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MAX_BYTES", 100)
    done = connection.run(host, 60, "printf %0100d 0; printf %0100d 0 >&2")
    assert (len(done.stdout), len(done.stderr)) == (100, 100)
    for where in ("1", "2"):
        place = tmp_path / where
        with pytest.raises(MalformedError, match=r"^it wrote more than 100 bytes$"):
            connection.run(host, 60, f"echo $$ > {place}; printf %0101d 0 >&{where}; sleep 1000")
        assert gone(place.read_text().strip())


def test_the_commands_of_all_threads_are_ended_and_none_begins_until_that_is_over(host: Host, tmp_path: Path) -> None:
    place = tmp_path / "pid"

    def begun() -> str:
        return place.read_text() if place.exists() and place.read_text().endswith("\n") else ""

    with ThreadPoolExecutor() as pool:
        answer = pool.submit(connection.run, host, 60, f"echo $$ > {place}; sleep 1000 & wait")
        end = time.monotonic() + 30
        while not begun():
            assert time.monotonic() < end
            time.sleep(0.01)
        with connection.ending_all():
            assert gone(begun().strip())
            assert answer.result(5).rc != 0
            with pytest.raises(LostError, match=r"^the run is over$"):
                connection.run(host, 60, "true")
    assert connection.run(host, 60, "true").rc == 0


def test_each_threads_command_has_its_own_limit(host: Host) -> None:
    """Whichever begins first, and whichever ends first."""
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(connection.run, host, 60, "sleep 1.5; echo done")
        hanging = pool.submit(connection.run, host, 1, "sleep 1000")
        quick = pool.submit(connection.run, host, 60, "true")
        assert quick.result().rc == 0
        with pytest.raises(NoAnswerError, match=r"^no answer within 1 s$"):
            hanging.result()
        assert slow.result().stdout == "done\n"


@pytest.mark.parametrize("name", ["é", "Ωλ", "\udcff"])
def test_a_machine_or_a_configuration_of_any_name_is_asked_as_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """testinfra would first ask the machine for its encoding, by a line that has the name in it."""
    script = tmp_path / "ssh"
    script.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    (host,) = testinfra.get_hosts([f"ssh://{name}.example"], ssh_config=f"/{name}/config")
    done = connection.run(host, 60, "true")
    said = os.fsdecode(done.stdout_bytes).splitlines()
    assert {f"/{name}/config", f"{name}.example"} <= {one.removeprefix("-F").strip() for one in said}


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("first\nlast \n\n"), "last"),
        (RuntimeError("é" * 400), "é" * 300),
        (RuntimeError(), "RuntimeError"),
        (OSError(2, "No such file"), "[Errno 2] No such file"),
    ],
)
def test_why_a_machine_was_lost_is_the_last_that_was_said(
    host: Host, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def fails(*_: str) -> None:
        raise error

    monkeypatch.setattr(host, "run", fails)
    with pytest.raises(LostError) as caught:
        connection.run(host, 60, "true")
    assert str(caught.value) == said


def test_of_a_failed_ssh_it_is_what_ssh_wrote(host: Host) -> None:
    assert connection._reason(RuntimeError(result(host, "out", "banner\nrefused\x1b\n"))) == "refused "


def test_the_end_of_what_was_written_is_shown(host: Host) -> None:
    assert connection.tail(result(host, "out", "a" * 10 + "b" * 598 + "é!\n")) == "out\n" + "b" * 598 + "é!"
    nologin = "This account is currently not available."
    assert connection.tail(result(host, f"{nologin}\n", "Authorised use only.\n")) == f"{nologin}\nAuthorised use only."
    assert connection.tail(result(host, " out\n")) == "out"
    assert connection.tail(result(host, "\n")) == "nothing was written"


def test_an_answer_stands_between_its_two_marks(host: Host) -> None:
    assert connection.between(result(host, "motd\r\nm\r\na\r\nb\r\nm\r\nbye"), "m") == ["a", "b"]
    for unmarked in ("", "m\na", "m\na\nm\nm\n", "mm\na\nm\n"):
        assert connection.between(result(host, unmarked), "m") is None
