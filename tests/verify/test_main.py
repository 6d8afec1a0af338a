"""`python -m verify`: a command's name chooses it, and whatever fails is no unhealthy machine."""

import importlib
from types import SimpleNamespace
from typing import Any

import pytest

from verify import __main__ as verify
from verify.errors import UserError


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """The modules that were asked to run, with their arguments; each ends with exit code 1."""
    noted: list[tuple[str, list[str]]] = []

    def load(name: str) -> Any:
        def main(arguments: list[str]) -> int:
            noted.append((name, arguments))
            return 1

        return SimpleNamespace(main=main)

    monkeypatch.setattr(importlib, "import_module", load)
    return noted


@pytest.mark.parametrize(
    ("arguments", "module", "rest"),
    [
        ([], "verify.run.command", []),
        (["--level", "report"], "verify.run.command", ["--level", "report"]),
        (["run", "--help"], "verify.run.command", ["--help"]),
        (["report", "--results", "a"], "verify.report.command", ["--results", "a"]),
        (["compare"], "verify.report.compare", []),
    ],
)
def test_the_first_word_chooses_a_command(
    called: list[tuple[str, list[str]]], arguments: list[str], module: str, rest: list[str]
) -> None:
    assert verify.main(arguments) == 1
    assert called == [(module, rest)]


def test_a_missing_module_of_its_own_is_a_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(verify.COMMANDS, "run", "verify.nowhere")
    assert verify.main([]) == 2
    assert capsys.readouterr().err.startswith("Traceback (most recent")


@pytest.mark.parametrize(
    ("error", "said"), [(UserError("so mend it"), "verify: so mend it\n"), (KeyError("x"), "Traceback (most recent")]
)
def test_what_fails_could_not_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, said: str
) -> None:
    def fails(_: list[str]) -> int:
        raise error

    monkeypatch.setattr(importlib, "import_module", lambda _: SimpleNamespace(main=fails))
    assert verify.main([]) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err.startswith(said)) == ("", True)
