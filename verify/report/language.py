"""Languages: which one a person reads, its catalogue of messages, and how it writes numbers and dates.

The catalogues are gettext's (`verify/report/locale/*.po`), read as they are: there is no compiled file to forget.
`python -m verify messages` brings them up to date with the sources.
"""

import functools
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from babel import Locale
from babel.dates import format_datetime
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent, format_scientific
from babel.support import NullTranslations, Translations

from ..errors import UserError

LOCALES = {"en": "en", "pt": "pt_PT", "pt_BR": "pt_BR"}
"""What --lang takes, to the locale."""
HELP = (
    f"language of the summary and the report: {', '.join(LOCALES)} "
    "(default: the one of LC_ALL, LC_MESSAGES or LANG, else en)"
)
"""What --lang is, for every command that has it."""
CATALOGUES = Path(__file__).resolve().parent / "locale"
_VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")
_UNITS = ("B", "kB", "MB", "GB", "TB")
_STEP = 1000
_SMALLEST, _LARGEST = 1e-15, 1e15


@dataclass(frozen=True)
class Language:
    """A language.

    Attributes:
        code: what --lang takes.
        locale: its locale.
        translations: its catalogue.
    """

    code: str
    locale: Locale
    translations: NullTranslations

    @property
    def tag(self) -> str:
        """What HTML's lang takes (BCP 47)."""
        return str(self.locale).replace("_", "-")

    def gettext(self, message: str, **values: object) -> str:
        """A message in this language, %(name)s replaced by the values."""
        return self.translations.gettext(message) % values if values else self.translations.gettext(message)

    def lookup(self, text: str) -> str:
        """A text of a table in this language; the tables stand in verify/report/messages.py."""
        return self.translations.gettext(text)

    def ngettext(self, one: str, many: str, n: int, **values: object) -> str:
        """A message in this language, in its form for `n`; %(n)s and %(name)s are replaced."""
        return self.translations.ngettext(one, many, n) % {"n": n, **values}

    def number(self, value: float) -> str:
        """A measured number, to three significant digits."""
        return self._power(value) or format_decimal(value, format="@@@", locale=self.locale)

    def short(self, value: float) -> str:
        """A number that is round more often than not, to three significant digits at most."""
        return self._power(value) or (format_decimal(value, format="@##", locale=self.locale) if value else "0")

    def tiny(self, value: float) -> str:
        """A small number, such as an error, as a power of ten."""
        return format_scientific(value, format="0.0E0", locale=self.locale)

    def _power(self, value: float) -> str:
        """A number that would be a row of digits as a power of ten, "" for others: no machine measures such."""
        return "" if value == 0 or _SMALLEST <= abs(value) < _LARGEST else self.tiny(value)

    def span(self, low: float, high: float) -> str:
        """From one number to another."""
        return self.gettext("%(low)s to %(high)s", low=self.number(low), high=self.number(high))

    def percent(self, share: float) -> str:
        """A share (1 is all) in whole percent."""
        return f"{power}%" if (power := self._power(share * 100)) else format_percent(share, locale=self.locale)

    def size(self, count: float) -> str:
        """A number of bytes, in decimal units."""
        unit = 0
        while abs(count) >= _STEP and unit < len(_UNITS) - 1:
            count /= _STEP
            unit += 1
        return f"{self.short(count)} {_UNITS[unit]}"

    def time(self, when: datetime) -> str:
        """A date and time of day."""
        return format_datetime(when, format="d MMM y, HH:mm", locale=self.locale)


def choose(code: str | None, environment: Mapping[str, str] | None = None) -> Language:
    """The language to use.

    Args:
        code: what --lang says, or None for the environment's.
        environment: variables, by default the process's; as gettext has it, the first that is set of LC_ALL,
            LC_MESSAGES, LANG counts.

    Returns:
        the language asked for; English where nothing is said, or the environment names none of ours.

    Raises:
        UserError: --lang names none of ours.
    """
    if code is not None and code not in LOCALES:
        raise UserError(f"The language '{code}' is unknown. Set --lang to one of {', '.join(LOCALES)}.")
    if code is None:
        known = os.environ if environment is None else environment
        said = next((known[name] for name in _VARIABLES if known.get(name)), "")
        # language_TERRITORY.encoding@modifier; where a country has no catalogue of its own, its language counts.
        wanted = said.partition(".")[0].partition("@")[0]
        code = next((one for one in (wanted, wanted.partition("_")[0]) if one in LOCALES), "en")
    return _load(code)


def catalogue(code: str) -> Path:
    """The file with a language's messages."""
    return CATALOGUES / f"{LOCALES[code]}.po"


@functools.cache
def _load(code: str) -> Language:
    locale = Locale.parse(LOCALES[code])
    if code == "en":
        return Language(code, locale, NullTranslations())
    with catalogue(code).open("rb") as file:
        messages = read_po(file, locale=locale)
    compiled = io.BytesIO()
    write_mo(compiled, messages)
    compiled.seek(0)
    return Language(code, locale, Translations(compiled))
