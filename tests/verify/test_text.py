"""What comes from elsewhere is shown without steering what shows it, and without passwords."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verify import text


@given(st.text())
def test_a_line_is_one_line_that_can_be_printed(given_text: str) -> None:
    assert not {unicodedata.category(one) for one in text.line(given_text)} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert text.line(text.line(given_text)) == text.line(given_text)


@pytest.mark.parametrize(
    "steers", ["\x1b[2J", "\x9b2J", "\u202e", "\u2066", "\u2028", "\x00", "\r", "\x08", "\u200b", "\ud800"]
)
def test_nothing_steers(steers: str) -> None:
    for made in (text.plain(f"a{steers}b"), text.line(f"a{steers}b"), text.said(f"a{steers}b")):
        assert steers[0] not in made
        assert made.startswith("a")


@pytest.mark.parametrize(
    ("address", "shown", "secret"),
    [
        ("https://ana:pw@example.org/simple", "https://***@example.org/simple", True),
        ("see HTTPS://ana:p%40w@host:8080 now", "see HTTPS://***@host:8080 now", True),
        ("https://token@example.org", "https://***@example.org", True),
        ("HTTP://token:@example.org", "HTTP://***@example.org", True),
        ("git+ssh://git@example.org/a.git", "git+ssh://***@example.org/a.git", False),
        ("https://:pw@example.org", "https://***@example.org", True),
        ("https://ana:p@w@example.org", "https://***@example.org", True),
        ("https://example.org/a@b:c@d", "https://example.org/a@b:c@d", False),
        ("https://example.org:443/x@y", "https://example.org:443/x@y", False),
        ("ana@example.org: hello", "ana@example.org: hello", False),
        # Advice of verify's own, and what is none.
        ("Write ssh://USER@HOST.", "Write ssh://USER@HOST.", False),
        ("ssh://USER@HOST, or", "ssh://USER@HOST, or", False),
        ("ssh://USER@HOST.example", "ssh://***@HOST.example", False),
        ("ssh://USER@HOST@example.org", "ssh://***@example.org", False),
    ],
)
def test_a_password_in_an_address_is_seen_and_not_shown(address: str, shown: str, secret: bool) -> None:
    assert text.masked(address) == text.shown(address) == text.line(address) == shown
    assert text.has_password(address) is secret


def test_what_programs_said_comes_one_after_the_other() -> None:
    assert text.said("out\n", "", "\x1b[31merr https://a:b@c/\n\n") == "out\n\n\n [31merr https://***@c/"
