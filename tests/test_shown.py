"""What a machine, an index or a file made up is planted wherever it is shown: it steers nothing, passes for no line of
ours, and no password is in it.
"""

import json
import subprocess
import sys
import unicodedata
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.metal_lab.macs.plugins.action import collect
from ansible_collections.metal_lab.macs.plugins.action import run_lock as run_lock_action
from ansible_collections.metal_lab.macs.plugins.callback import fleet
from ansible_collections.metal_lab.macs.plugins.module_utils import uv_tool
from ansible_collections.metal_lab.macs.plugins.plugin_utils import run_lock

from tests.helpers.plugins import connection, run_action
from verify import ROOT
from verify.linkcheck import command as linkcheck
from verify.linkcheck.report import escape

EVIL = "\x1b[2J\x1b]0;owned\x07\u202e\u2066\u2028\r\x9b1mhttps://ana:s3cr3t@mirror/x\nmac7  healthy"
STEERS = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def steers(text: str, *, lines: bool = False) -> set[str]:
    """What of a text steers what shows it; ends of lines count too where it is to be one line."""
    return {one for one in text if unicodedata.category(one) in STEERS and (one != "\n" or not lines)}


def failed(result: dict[str, Any]) -> str:
    assert result["failed"]
    return str(result["msg"])


def test_the_fleets_table_has_a_row_a_machine_whatever_they_say() -> None:
    recaps = {
        "mac1": fleet.Recap(begun=True, failed=True, why=fleet._message({"msg": EVIL})),
        f"mac2{EVIL}": fleet.Recap(begun=True, unreachable=True, why=EVIL),
    }
    rows = fleet.table(recaps, fleet.Kind(), width=4000)
    for _, row in rows:
        assert not steers(row)
    assert not any(row.startswith("mac7") for _, row in rows)
    assert "s3cr3t" not in rows[0][1]
    assert not steers(fleet.waiting({f"mac2{EVIL}": (EVIL, 0.0)}, 100.0))


def test_who_holds_a_lock_is_one_line() -> None:
    said = EVIL.replace("\n", "\r")
    answer = run_lock.parse(f"lock=held\nlock_id=x\nlock_who={said}\nlock_since={said}\nlock_at=/l{said}\nlock_end=1\n")
    assert not steers(run_lock.obstacle(answer))
    refused = failed(run_action(run_lock_action.ActionModule, {"state": "taken"}, over=connection((3, EVIL, EVIL))))
    assert not steers(refused, lines=True)
    assert "s3cr3t" not in refused


@pytest.mark.parametrize("key", ["ref", "step", "commit"])
@pytest.mark.parametrize("code", [0, 1])
def test_what_a_collected_note_says_is_one_line(key: str, code: int) -> None:
    last = {"ended": "2026-01-01T00:00:00Z", "ref": "v1", "step": "fetch", "commit": "", "exit_code": code, key: EVIL}
    said = collect.judge(json.dumps(last), datetime(2026, 1, 9, tzinfo=UTC), 24.0)
    assert said
    assert not steers(said)
    assert not steers(collect.judge(EVIL, datetime(2026, 1, 9, tzinfo=UTC), 24.0))


def test_what_tools_say_steers_nothing() -> None:
    explained = uv_tool.explain(subprocess.CompletedProcess([], 2, EVIL, EVIL))
    assert not steers(explained, lines=True)
    assert "s3cr3t" not in explained


def test_what_wheels_are_called_steers_no_console(capsys: pytest.CaptureFixture[str]) -> None:
    assert not steers(escape(EVIL), lines=True)
    assert "s3cr3t" not in escape(EVIL)
    linkcheck.say(EVIL)
    shown = capsys.readouterr().err
    assert not steers(shown.removesuffix("\n"))
    assert "s3cr3t" not in shown


@pytest.mark.parametrize(
    "arguments",
    [["report", "--results"], ["lock", "--check", "--profile"], ["linkcheck", "--profile"], ["compare"], ["--profile"]],
    ids=lambda arguments: arguments[0],
)
def test_what_a_command_is_given_comes_back_harmless(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / f"{EVIL.replace('/', '_')}.json").touch()
    given = str(tmp_path / EVIL) if arguments != ["compare"] else str(next(tmp_path.iterdir()))
    line = [sys.executable, "-m", "verify", *arguments, given, *([given] if arguments == ["compare"] else [])]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode != 0
    assert not steers(done.stdout + done.stderr, lines=True)
