"""Languages: which one is taken, what it writes, and that its catalogue is complete."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from babel.messages.catalog import Catalog

from verify import ROOT
from verify.checks.advice import ADVICE
from verify.errors import UserError
from verify.report import labels, language, messages
from verify.report.summary import WIDTH
from verify.results.comparison import OBSTACLES

TRANSLATED = [code for code in language.LOCALES if code != "en"]


def translations(code: str) -> list[str]:
    """All that a catalogue says."""
    said = [one.string or "" for one in messages.update(code) if one.id]
    return [text for one in said for text in ([one] if isinstance(one, str) else one)]


@pytest.mark.parametrize(
    ("environment", "code"),
    [
        ({}, "en"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8"}, "en"),
        ({"LANG": "pt_BR.UTF-8"}, "pt_BR"),
        ({"LANG": "pt_BR"}, "pt_BR"),
        ({"LANG": "pt_PT.UTF-8"}, "pt"),
        ({"LANG": "pt_AO.UTF-8"}, "pt"),
        ({"LANG": "pt_PT@euro"}, "pt"),
        ({"LANG": "pt"}, "pt"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "EN"}, "en"),
        ({"LANG": "!?"}, "en"),
        ({"LANG": "pt_BR.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "pt_BR.UTF-8"}, "pt_BR"),
        ({"LANG": "pt_BR.UTF-8", "LC_ALL": ""}, "pt_BR"),
    ],
)
def test_the_environment_chooses(environment: dict[str, str], code: str) -> None:
    assert language.choose(None, environment).code == code


def test_who_names_a_language_gets_it() -> None:
    assert language.choose("en", {"LANG": "pt_BR.UTF-8"}).code == "en"
    assert [language.choose(code, {}).tag for code in language.LOCALES] == ["en", "pt-PT", "pt-BR"]
    with pytest.raises(UserError, match="one of en, pt, pt_BR"):
        language.choose("fr", {})


@pytest.mark.parametrize(
    ("code", "number", "share", "size", "span"),
    [
        ("en", "1.43", "55%", "17.2 GB", "1.40 to 1.50"),
        ("pt", "1,43", "55%", "17,2 GB", "1,40 a 1,50"),
        ("pt_BR", "1,43", "55%", "17,2 GB", "1,40 a 1,50"),
    ],
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
    assert (spoken.number(1e15), spoken.number(1e-15)) == ("1,0E15", "0,00000000000000100")
    assert (spoken.number(0.0), spoken.short(0.0), spoken.percent(0.0)) == ("0,0", "0", "0%")


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_catalogue_is_complete_and_as_the_sources_are(code: str) -> None:
    current = messages.update(code)
    assert list(messages.problems(current)) == []
    assert messages.as_bytes(current) == language.catalogue(code).read_bytes(), "run: python -m verify messages"


def test_every_catalogue_is_of_a_language() -> None:
    assert sorted(language.CATALOGUES.iterdir()) == sorted(language.catalogue(code) for code in TRANSLATED)


# Words that only one of the two countries writes; the first column is the course's.
@pytest.mark.parametrize(
    ("portugal", "brazil"),
    [
        ("ficheiro", "arquivo"),
        ("registo", "registro"),
        ("treino", "treinamento"),
        ("aplicações", "aplicativos"),
        ("aprendizagem", "aprendizado"),
        ("ligação", "conexão"),
        ("percentagens", "porcentagens"),
        ("vírgula flutuante", "ponto flutuante"),
        ("definições", "configurações"),
        ("executa", "execute"),
        ("atualiza", "atualize"),
        ("num", "em um"),
    ],
)
def test_each_country_has_its_own_words(portugal: str, brazil: str) -> None:
    said = {code: " ".join(translations(code)).lower() for code in ("pt", "pt_BR")}
    for word, its, other in ((portugal, "pt", "pt_BR"), (brazil, "pt_BR", "pt")):
        assert re.search(rf"\b{word}s?\b", said[its])
        assert not re.search(rf"\b{word}s?\b", said[other])


@pytest.mark.parametrize("code", language.LOCALES)
def test_an_advice_fits_a_line_of_the_summary(code: str) -> None:
    indent = 5
    assert [text for text in map(language.choose(code).lookup, ADVICE.values()) if len(text) + indent > WIDTH] == []


def test_a_playbook_may_name_every_language() -> None:
    about = yaml.safe_load((ROOT / "plugins" / "modules" / "verify.yml").read_text(encoding="utf-8"))
    assert about["DOCUMENTATION"]["options"]["lang"]["choices"] == ["", *language.LOCALES]


def test_sources_templates_and_tables_are_all_in_it() -> None:
    found = messages.wanted()
    tables = (ADVICE, OBSTACLES, labels.CHECKS, labels.FAULTS, labels.RESULTS, labels.VERDICTS)
    for text in ("Verdicts", "What to do", "Report: %(path)s", *(text for one in tables for text in one.values())):
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


@pytest.mark.parametrize(
    ("code", "written"),
    [
        ("en", ["1230", "1.5", "1.5E-7", "1,234%", "21 Nov 2026, 07:05", "2 hours", "1 hour", "5% of it"]),
        ("pt", ["1230", "1,5", "1,5E-7", "1\xa0234%", "21 nov. 2026, 07:05", "2 horas", "1 hora", "5% of it"]),
        ("pt_BR", ["1230", "1,5", "1,5E-7", "1.234%", "21 nov. 2026, 07:05", "2 horas", "1 hora", "5% of it"]),
    ],
)
def test_everything_is_written_in_one_language(code: str, written: list[str]) -> None:
    spoken = language.choose(code)
    when = datetime(2026, 11, 21, 7, 5, tzinfo=UTC)
    hours = [spoken.ngettext("%(n)s hour", "%(n)s hours", n) for n in (2, 1)]
    numbers = [spoken.number(1234), spoken.short(1.5), spoken.tiny(1.5e-7), spoken.percent(12.34)]
    assert [*numbers, spoken.time(when), *hours, spoken.gettext("5% of it")] == written
    assert spoken.gettext("%(low)s to %(high)s", low=1, high=2) == ("1 to 2" if code == "en" else "1 a 2")


SOURCE = """
gettext("hello")  # a comment
ngettext("one %(n)s", "many %(n)s", 2)
other("left alone")
"""
TEMPLATE = "{% trans %}\n  from a\n  template\n{% endtrans %}{{ gettext('in braces') }}"


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small tree of sources, whose catalogue is yet to be; returns where it will be."""
    (tmp_path / "verify" / "sub").mkdir(parents=True)
    (tmp_path / "verify" / "a.py").write_text(SOURCE)
    (tmp_path / "verify" / "sub" / "b.j2").write_text(TEMPLATE)
    (tmp_path / "verify" / "c.txt").write_text('gettext("no source")')
    made = tmp_path / "verify" / "made.po"
    monkeypatch.setattr(messages, "SOURCES", tmp_path / "verify")
    monkeypatch.setattr(messages, "catalogue", lambda _: made)
    monkeypatch.setattr(messages, "LOCALES", {"en": "en", "pt_BR": "pt_BR"})
    monkeypatch.setattr(messages, "_TABLES", {"labels.py": ["of a table"]})
    return made


def test_a_catalogue_from_nothing_to_complete(sources: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert messages.main([]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "verify/made.po: 5 messages, 5 to mend",
        "  not translated: 'hello'",
        "  not translated: 'one %(n)s'",
        "  not translated: 'from a template'",
        "  not translated: 'in braces'",
        "  not translated: 'of a table'",
    ]
    text = sources.read_text()
    assert text.startswith("# Messages of verify. `python -m verify messages` adds new ones; translate them here.\n#\n")
    for header in ("Project-Id-Version: metal-lab verify", "Report-Msgid-Bugs-To: none", "Last-Translator: none"):
        assert f'"{header}\\n"' in text
    for header in ("Language: pt_BR", "Language-Team: none"):
        assert f'"{header}\\n"' in text
    assert [line for line in text.splitlines() if line.startswith("#:")] == [
        "#: a.py",
        "#: a.py",
        "#: labels.py",
        "#: sub/b.j2",
        "#: sub/b.j2",
    ]
    assert "fuzzy" not in text

    dated = re.sub("POT-Creation-Date: [^\\\\]*", "POT-Creation-Date: 2020-01-01 00:00+0000", text)
    forms = dated.replace('msgstr[0] ""', 'msgstr[0] "um"').replace('msgstr[1] ""', 'msgstr[1] "muitos %(n)s"')
    head, _, body = forms.partition("\n\n")
    sources.write_text(head + "\n\n" + body.replace('msgstr ""', 'msgstr "texto"'))
    (sources.parent / "a.py").write_text(SOURCE.replace("hello", "hello there"))
    assert messages.main([]) == 1  # which resembles the old one, and is not taken for it
    assert capsys.readouterr().out.splitlines() == [
        "verify/made.po: 5 messages, 1 to mend",
        "  not translated: 'hello there'",
    ]
    assert '"hello"' not in sources.read_text()
    sources.write_text(sources.read_text().replace('"hello there"\nmsgstr ""', '"hello there"\nmsgstr "olá"'))
    whole = sources.read_bytes()
    assert messages.main([]) == 0
    assert capsys.readouterr().out == "verify/made.po: 5 messages, 0 to mend\n"
    assert sources.read_bytes() == whole
    assert b"2020-01-01" in whole


def test_long_messages_have_long_lines(sources: Path) -> None:
    (sources.parent / "a.py").write_text(f'gettext("{"word " * 40}")')
    messages.main([])
    longest = max(map(len, sources.read_text().splitlines()))
    assert 110 < longest <= 120


def test_help_of_messages(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    with pytest.raises(SystemExit):
        messages.main(["--help"])
    shown = capsys.readouterr().out
    assert shown.startswith("usage: python -m verify messages ")
    assert str(messages.__doc__).strip() in shown


@pytest.mark.parametrize(
    ("original", "translation", "problem"),
    [
        ("%(a)s", "%(a)s!", None),
        ("%(a)s %(b)s", "%(b)s %(a)s", None),
        ("%(a)s", "%(b)s", "other placeholders"),
        ("%(a)s", "nothing", "other placeholders"),
        ("plain", "%(a)s", "other placeholders"),
        ("plain", "", "not translated"),
        ("plain", None, "not translated"),
        (("%(n)s day", "%(n)s days"), ("um dia", "%(n)s dias"), None),
        (("%(n)s day", "%(n)s days"), ("%(n)s dia", "%(n)s dias"), None),
        (("a day", "%(n)s days"), ("%(n)s dia", "%(n)s dias"), None),
        (("%(n)s day", "%(n)s days"), ("%(n)s dia", "dias"), "other placeholders"),
        (("%(n)s day", "%(n)s days"), ("%(m)s dia", "%(n)s dias"), "other placeholders"),
        (("%(n)s day", "%(n)s days"), ("", "%(n)s dias"), "not translated"),
        (("%(n)s day", "%(n)s days"), ("um dia", ""), "not translated"),
    ],
)
def test_what_is_wrong_with_a_translation(original: Any, translation: Any, problem: str | None) -> None:
    made = Catalog(locale="pt_BR", fuzzy=False)
    made.add(original, string=translation)
    first = original if isinstance(original, str) else original[0]
    assert list(messages.problems(made)) == ([f"{problem}: {first!r}"] if problem else [])
