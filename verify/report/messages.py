"""`python -m verify messages`: bring the catalogues of messages up to date with the sources, and say what is missing.

Messages stand in the sources as gettext(...) and ngettext(...), in the templates, and in the tables of advice and
labels. New ones come into the catalogues untranslated, those no longer used go; translate in the .po files.

exit code: 0 every message has its translation, 1 some have none
"""

import argparse
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from ..checks.advice import ADVICE, ELSEWHERE
from ..results.comparison import OBSTACLES
from . import labels
from .language import LOCALES, catalogue

SOURCES = Path(__file__).resolve().parent.parent
_METHODS = [("**.py", "python"), ("**.j2", "jinja2")]
_OPTIONS = {"**.j2": {"newstyle_gettext": "true", "trimmed": "true", "silent": "false"}}
_TABLES = {
    "checks/advice.py": [*ADVICE.values(), *ELSEWHERE.values()],
    "results/comparison.py": [*OBSTACLES.values()],
    "report/labels.py": [
        *labels.CHECKS.values(),
        *labels.FAULTS.values(),
        *labels.RESULTS.values(),
        *labels.VERDICTS.values(),
        labels.BASE_TITLE,
    ],
}
_HEADER = "# Messages of verify. `python -m verify messages` adds new ones; translate them here.\n#"
_WIDTH = 120
_PLACE = re.compile(r"%\(\w+\)s")


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m verify messages", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args(arguments)
    count = 0
    for code in LOCALES:
        if code == "en":
            continue
        current = update(code)
        path = catalogue(code)
        path.write_bytes(as_bytes(current))
        wrong = list(problems(current))
        count += len(wrong)
        print(f"{path.relative_to(SOURCES.parent)}: {len(current)} messages, {len(wrong)} to mend")
        for line in wrong:
            print(f"  {line}")
    return 1 if count else 0


def wanted() -> Catalog:
    """All messages that the sources have."""
    found = Catalog()
    for file, line, message, comments, context in extract_from_dir(SOURCES, _METHODS, _OPTIONS):
        del line
        found.add(message, locations=[(file, 0)], auto_comments=comments, context=context)
    for file, texts in _TABLES.items():
        for text in texts:
            found.add(text, locations=[(file, 0)])
    return found


def update(code: str) -> Catalog:
    """A language's catalogue with exactly the messages that the sources have."""
    path = catalogue(code)
    current = Catalog(
        locale=LOCALES[code],
        project="metal-lab",
        version="verify",
        msgid_bugs_address="none",
        last_translator="none",
        language_team="none",
    )
    if path.exists():
        with path.open("rb") as file:
            current = read_po(file, locale=LOCALES[code])
    # A guess at what a new message may mean would be shown to people unseen, and a date that moves at each update would
    # be the only change of most of them.
    current.update(wanted(), no_fuzzy_matching=True, update_creation_date=False)
    current.obsolete.clear()
    current.header_comment = _HEADER
    current.fuzzy = False
    return current


def as_bytes(current: Catalog) -> bytes:
    """A catalogue as the file it is kept in; the same messages give the same bytes."""
    buffer = io.BytesIO()
    write_po(buffer, current, width=_WIDTH, include_lineno=False, sort_by_file=True)
    return buffer.getvalue()


def problems(current: Catalog) -> Iterator[str]:
    """What is wrong with a catalogue: a translation that is missing, is a guess, or has other placeholders."""
    for message in current:
        if not message.id:
            continue
        texts, originals = _forms(message.string), _forms(message.id)
        if not all(texts):
            yield f"not translated: {originals[0]!r}"
        elif message.fuzzy:
            yield f"a guess, look at it: {originals[0]!r}"
        # The form for one may do without the number.
        elif _places(texts[-1]) != _places(originals[-1]) or not _places(texts[0]) <= _places(originals[-1]):
            yield f"other placeholders: {originals[0]!r}"


def _forms(text: str | Sequence[str] | None) -> Sequence[str]:
    return [text or ""] if isinstance(text, str | None) else text


def _places(text: str) -> set[str]:
    return set(_PLACE.findall(text))
