"""Text from elsewhere, made fit to be shown: on a terminal, on a page, in a log. Standard library only, Python 3.8+.

The modules use it too (a link among their module_utils).
"""

from __future__ import annotations

import re
import unicodedata

_STEERS = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Categories of Unicode: control characters, changes of direction and what is not seen, lone surrogates, line ends."""


def plain(text: str) -> str:
    """Text without what would steer a terminal or a page. Ends of lines stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(" " if unicodedata.category(one) in _STEERS and one != "\n" else one for one in text)


def masked(text: str) -> str:
    """Text without the user names and passwords of the addresses in it.

    Whatever stands before the last @ of an address's host part may be one: RFC 3986, 3.2.1.
    """
    # What stands for a name in our own sentences is none.
    return re.sub(r"://(?!USER@HOST[,.]?(?:\s|$))[^/\s?#]*@", "://***@", text)


def shown(text: str) -> str:
    """Text as it may be shown: plain, and without passwords."""
    return plain(masked(text))


def line(text: str) -> str:
    """The same as one line: nothing in it can pass for a line of ours."""
    return " ".join(shown(text).split())


def said(*outputs: str) -> str:
    """What a program said, one output after the other, as it may be shown, and without blank ends."""
    return shown("\n".join(outputs)).strip()


def has_password(address: str) -> bool:
    """Whether there is an address with a user's name and a password, or a token in the place of either.

    A name alone is no secret but of HTTP: https://TOKEN@host and https://TOKEN:@host are how some registries have it.
    """
    return re.search(r"://[^/\s?#@:]*:[^/\s?#]*@|(?i:https?)://[^/\s?#@]+@", address) is not None
