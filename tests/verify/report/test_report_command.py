"""`python -m verify report`: what it makes, says and ends with; and how drift is told on the page."""

from pathlib import Path
from typing import Any

import pytest

from tests.verify.report.samples import measured, write
from verify import __main__ as verify
from verify.report import command, language, view
from verify.report.drift_view import drifted


def ran(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = verify.main(["report", *map(str, arguments)])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_a_page_is_made_where_the_results_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "results", [measured(host="mac-1")])
    write(tmp_path / "other", [measured(host="mac-2")])
    monkeypatch.chdir(tmp_path)
    assert ran(capsys) == (0, "Report: results/report.html\n", "")
    assert ran(capsys, "--results", "other", "--lang", "pt") == (0, "Relatório: other/report.html\n", "")
    assert '<html lang="pt-PT">' in (tmp_path / "other" / "report.html").read_text(encoding="utf-8")


def test_a_host_that_cannot_be_shown_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> None:
        raise ValueError("odd\x1b[2J")

    monkeypatch.setattr(view, "host", fails)
    write(tmp_path, [measured(host="mac-1")])
    code, out, err = ran(capsys, "--results", tmp_path)
    assert code == 2
    assert out == f"Report: {tmp_path}/report.html\n"
    assert err.startswith("mac-1.ml-m1.json could not be shown: ValueError: odd")
    assert "\x1b" not in err


def test_where_no_page_can_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = ran(capsys, "--results", tmp_path / "nowhere")
    assert (code, out) == (2, "")
    assert err.startswith(f"verify: {tmp_path}/nowhere is no folder. Run `python -m verify` first")
    (tmp_path / "report.html").mkdir()
    code, out, err = ran(capsys, "--results", tmp_path)
    assert (code, out) == (2, "")
    assert err.startswith("verify: The page cannot be written: ")


def test_help(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    with pytest.raises(SystemExit) as ended:
        ran(capsys, "--help")
    shown = capsys.readouterr().out
    assert ended.value.code == 0
    assert shown.startswith("usage: python -m verify report ")
    assert str(command.__doc__).strip() in shown


def test_how_drift_is_told() -> None:
    def looked(problem: str = "", *changes: dict[str, Any]) -> dict[str, Any]:
        return {"time": "2026-11-21T02:00:00Z", "changes": list(changes), "problem": problem}

    change = {"task": "a task", "diff": ["-old", "+new"], "cut": False}
    known = {
        "d": {"p": looked()},
        "c": {"p": looked("", change, {**change, "cut": True})},
        "b": {"p": looked("", change), "q": looked()},
        "z": {"": looked("no route", change)},
        "a": {"p": looked()},
    }
    found = drifted(known, language.choose("en"))
    assert [(one.title, one.state, one.word) for one in found] == [
        ("z", "fail", "not looked at to the end"),
        ("b (p)", "warn", "1 task would change it"),
        ("c", "warn", "2 tasks would change it"),
        ("a", "pass", "as it should be"),
        ("b (q)", "pass", "as it should be"),
        ("d", "pass", "as it should be"),
    ]
    assert found[2].changes == [("a task", "-old\n+new"), ("a task", "-old\n+new\n...")]
    assert (found[0].when, found[0].looked) == ("21 Nov 2026, 02:00 UTC", "2026-11-21T02:00:00Z")
    assert (found[0].problem, found[3].problem) == ("no route", "")
