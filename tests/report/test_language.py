"""Languages: which one is taken, what it writes, and that its catalogue is complete."""

from datetime import UTC, datetime

import pytest

from verify.checks.advice import ADVICE
from verify.errors import UserError
from verify.report import labels, language, messages


@pytest.mark.parametrize(
    ("environment", "code"),
    [
        ({}, "en"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8"}, "en"),
        ({"LANG": "pt_BR.UTF-8"}, "pt"),
        ({"LANG": "pt_PT@euro"}, "pt"),
        ({"LANG": "pt"}, "pt"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "!?"}, "en"),
        ({"LANG": "pt_BR.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "pt_BR.UTF-8"}, "pt"),
        ({"LANG": "pt_BR.UTF-8", "LC_ALL": ""}, "pt"),
    ],
)
def test_the_environment_chooses(environment: dict[str, str], code: str) -> None:
    assert language.choose(None, environment).code == code


def test_who_names_a_language_gets_it() -> None:
    assert language.choose("en", {"LANG": "pt_BR.UTF-8"}).code == "en"
    assert language.choose("pt", {}).tag == "pt-BR"
    with pytest.raises(UserError, match="en, pt"):
        language.choose("fr", {})


@pytest.mark.parametrize(
    ("code", "number", "share", "size", "span"),
    [("en", "1.43", "55%", "17.2 GB", "1.40 to 1.50"), ("pt", "1,43", "55%", "17,2 GB", "1,40 a 1,50")],
)
def test_numbers_are_written_as_the_language_does(code: str, number: str, share: str, size: str, span: str) -> None:
    spoken = language.choose(code)
    assert spoken.number(1.4321) == number
    assert spoken.short(0) == "0"
    assert spoken.short(12) == "12"
    assert spoken.percent(0.549) == share
    assert spoken.size(17_179_869_184) == size
    assert spoken.span(1.4, 1.5) == span
    assert spoken.time(datetime(2026, 11, 21, 7, 5, tzinfo=UTC)).endswith("2026, 07:05")


def test_a_number_that_nobody_measures_is_a_power_of_ten() -> None:
    spoken = language.choose("pt")
    assert (spoken.number(1e30), spoken.short(-1e-30), spoken.percent(1e28)) == ("1,0E30", "-1,0E-30", "1,0E30%")
    assert (spoken.number(0.0), spoken.short(0.0), spoken.percent(0.0)) == ("0,0", "0", "0%")


def test_the_catalogue_is_complete_and_as_the_sources_are() -> None:
    current = messages.update("pt")
    assert list(messages.problems(current)) == []
    assert messages.as_bytes(current) == language.catalogue("pt").read_bytes(), "run: python -m verify messages"


def test_sources_templates_and_tables_are_all_in_it() -> None:
    found = messages.wanted()
    for text in ("Verdicts", "What to do", "Report: %(path)s", *ADVICE.values(), *labels.FAULTS.values()):
        assert text in found


def test_a_new_message_a_guess_and_a_lost_placeholder_are_found() -> None:
    current = messages.update("pt")
    current.add("%(count)s brand new", string="")
    current.add("a guess", string="um palpite", flags=["fuzzy"])
    current["Report: %(path)s"].string = "Relatório: %(caminho)s"
    current["%(n)s day"].string = ("%(n)s dia", "")
    found = "\n".join(messages.problems(current))
    for text in ("brand new", "a guess", "Report: %(path)s", "%(n)s day"):
        assert text in found


def test_every_fault_has_a_title_and_every_check_too() -> None:
    assert labels.FAULTS.keys() == ADVICE.keys()
