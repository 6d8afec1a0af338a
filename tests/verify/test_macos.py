"""The releases of macOS and what they are called."""

import itertools

import pytest

from verify import macos
from verify.macos import Version, parse_version, show_version, spans


@pytest.mark.parametrize(
    ("text", "version", "shown"),
    [("14", (14, 0, 0), "14.0"), ("14.4", (14, 4, 0), "14.4"), ("14.4.1", (14, 4, 1), "14.4.1")],
)
def test_versions(text: str, version: Version, shown: str) -> None:
    assert (parse_version(text), show_version(version)) == (version, shown)


def test_the_releases_are_told_apart_by_what_their_metal_takes() -> None:
    """Each knows more than the one before, and they are in order."""
    known = macos.releases()
    assert [one.version for one in known] == sorted({one.version for one in known})
    assert all(old.air < new.air and old.metal < new.metal for old, new in itertools.pairwise(known))
    assert {one.version[0]: (one.air, one.metal) for one in known}[15] == ((2, 7), (3, 2))


def test_who_is_served() -> None:
    assert macos.served((14, 4, 0)) == ((14, 4, 0), (15, 0, 0), (26, 0, 0), (27, 0, 0))
    assert macos.served((26, 2, 0)) == ((26, 2, 0), (27, 0, 0))
    assert macos.served((99, 0, 0)) == ((99, 0, 0),)


@pytest.mark.parametrize(
    ("chosen", "known", "expected"),
    [
        ("14.4", "14.4 15.0", "14.4 to 14.x"),
        ("14.4 15.0", "14.4 15.0", "14.4 to 15"),
        ("14.0", "14.0 15.0", "14"),
        ("15.0", "14.4 15.0", "15"),
        ("15.0 26.0", "15.0 26.0 27.0", "15 to 26"),
        ("26.0", "15.0 26.0 26.1 27.0", "26.0"),
        ("26.0", "15.0 26.0 26.2 27.0", "26.0 and 26.1"),
        ("26.0", "15.0 26.0 26.4 27.0", "26.0 to 26.3"),
        ("26.0", "15.0 26.0 26.2.1 27.0", "26.0 to before 26.2.1"),
        ("26.2", "26.0 26.2 27.0", "26.2 to 26.x"),
        ("26.2 27.0", "26.0 26.2 27.0", "26.2 to 27"),
        ("26.0 26.2", "15.0 26.0 26.2 27.0", "26"),
        ("15.0 26.0", "15.0 26.0 26.2 27.0", "15 to 26.1"),
        ("14.4 15.0 26.2 27.0", "14.4 15.0 26.0 26.2 27.0", "14.4 to 15 and 26.2 to 27"),
        ("", "14.4", ""),
    ],
)
def test_what_a_span_of_releases_is_called(chosen: str, known: str, expected: str) -> None:
    assert spans(map(parse_version, chosen.split()), map(parse_version, known.split())) == expected
