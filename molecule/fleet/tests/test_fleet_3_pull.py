"""Macs that converge themselves: launchd is told once, each at a minute of its own, and forgets it again."""

import json
import plistlib
from collections.abc import Callable
from typing import Any

import pytest
from fleet import Run, converge, login

PLIST = "/Library/LaunchDaemons/metal-lab.self-converge.plist"
SETTINGS = {
    "self_converge_repository": "https://lab:s3cret@git.lab.example.org/metal-lab.git",
    "self_converge_ref": "lab",
    "self_converge_signers": ["admin@lab.example.org ssh-ed25519 AAAA"],
}
NAMES = ("m09", "m10")


def pull(*arguments: str, **settings: object) -> Run:
    """Run pull.yml over two Macs."""
    extra = json.dumps({**SETTINGS, **settings})
    return converge("--limit", ",".join(NAMES), "-e", extra, *arguments, playbook="playbooks/pull.yml")


@pytest.fixture
def calls() -> Callable[[], list[str]]:
    """What launchctl was told on m09 to change, since the last look."""

    def look() -> list[str]:
        lines = login("m09", "cat /opt/.sim/calls; : >/opt/.sim/calls").splitlines()
        return [line for line in lines if line.startswith(("launchctl bootstrap", "launchctl bootout"))]

    return look


def test_launchd_is_told_once_and_forgets_it_again(calls: Callable[[], list[str]]) -> None:
    checked = pull("--check")
    assert checked.code == 0, checked.output
    assert checked.row("m09")[0] == "to change"
    assert login("m09", f"ls {PLIST} 2>/dev/null || :") == ""

    done = pull()
    assert done.code == 0, done.output
    assert calls() == [f"launchctl bootstrap system {PLIST}"]
    jobs: list[dict[str, Any]] = [plistlib.loads(login(name, f"cat {PLIST}").encode()) for name in NAMES]
    assert jobs[0]["UserName"] == "ana"
    folder = jobs[0]["ProgramArguments"][1].rpartition("/")[0]
    # Whoever is on the machine may read the job; the password is where only its user reads it.
    assert "s3cret" not in login("m09", f"cat {PLIST} '{folder}/settings' '{folder}/inventory.yml'")
    assert "https://lab:s3cret@git.lab.example.org" in login("m09", f"cat '{folder}/credentials'")
    modes = login("m09", f"cd '{folder}' && ls -ld . credentials settings | cut -c1-10").splitlines()
    assert modes == ["drwx------", "-rw-------", "-rw-------"]
    assert jobs[0]["StartCalendarInterval"] != jobs[1]["StartCalendarInterval"]
    assert all(2 <= job["StartCalendarInterval"]["Hour"] < 5 for job in jobs)
    login("m09", f'test -x "{jobs[0]["ProgramArguments"][1]}" && launchctl print system/{jobs[0]["Label"]}')

    assert pull().row("m09")[0] == "unchanged"
    assert calls() == []
    # Another tag is another setting, which launchd need not know; of another hour it is told.
    assert pull(self_converge_ref="next").row("m09")[0] == "changed"
    assert calls() == []
    assert pull(self_converge_ref="next", self_converge_hour=5).row("m09")[0] == "changed"
    assert calls() == ["launchctl bootout system/metal-lab.self-converge", f"launchctl bootstrap system {PLIST}"]

    gone = pull(self_converge_state="absent")
    assert gone.code == 0, gone.output
    assert calls() == ["launchctl bootout system/metal-lab.self-converge"]
    assert login("m09", f"ls -d {PLIST} ~/.local/share/metal-lab/pull 2>/dev/null || :") == ""
    assert pull(self_converge_state="absent").row("m09")[0] == "unchanged"


def test_what_is_not_whole_is_refused() -> None:
    run = pull(self_converge_signers=[])
    assert run.code != 0
    assert "self_converge_signers (who may sign" in " ".join(run.output.split())
