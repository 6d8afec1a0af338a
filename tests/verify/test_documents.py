"""The strict reader at its limits."""

import os
from pathlib import Path

import pytest

from verify import documents
from verify.documents import MAX_BYTES, MAX_DEPTH, MalformedError
from verify.target.answers import SCHEMA
from verify.text import plain


def test_nesting_at_its_limit() -> None:
    assert MAX_DEPTH == 32
    assert documents.parse("[" * 32 + "]" * 32)
    with pytest.raises(MalformedError, match="nested more than 32 deep"):
        documents.parse("[" * 33 + "]" * 33)


def test_integers_of_64_bits() -> None:
    assert documents.parse(str(2**63 - 1)) == 2**63 - 1
    for large in (2**63, -(2**63)):
        with pytest.raises(MalformedError, match="64 bits"):
            documents.parse(str(large))


def refused(path: Path) -> str:
    with pytest.raises(MalformedError) as caught:
        documents.read_text(path)
    return str(caught.value)


def test_a_file_at_its_limit(tmp_path: Path) -> None:
    assert MAX_BYTES == 8_000_000
    path = tmp_path / "file"
    path.write_bytes(b"x" * MAX_BYTES)
    assert len(documents.read_text(path)) == MAX_BYTES
    path.write_bytes(b"x" * (MAX_BYTES + 1))
    assert refused(path) == "it has more than 8000000 bytes"
    assert documents.parse('"' + "x" * (MAX_BYTES - 2) + '"')
    with pytest.raises(MalformedError, match="it has more than 8000000 bytes"):
        documents.parse('"' + "x" * (MAX_BYTES - 1) + '"')


def test_what_is_no_file_with_text(tmp_path: Path) -> None:
    assert refused(tmp_path / "gone") == "it cannot be read: No such file or directory"
    assert refused(tmp_path) == "it is not a regular file"
    os.mkfifo(tmp_path / "pipe")
    # Nobody writes into it: it is not waited for.
    assert refused(tmp_path / "pipe") == "it is not a regular file"
    (tmp_path / "bytes").write_bytes(b"\xff")
    assert refused(tmp_path / "bytes").startswith("it is not text: ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "it is nested more than 32 deep"),
        ("NaN", "it is not JSON: NaN is not a JSON number"),
        ("-Infinity", "it is not JSON: -Infinity is not a JSON number"),
        ("1e400", "it is not JSON: 1e400 is too large for a number"),
        ("1" * 30 + "e400", f"it is not JSON: {'1' * 20} is too large for a number"),
        ('{"a": 1, "a": 1}', "it is not JSON: a name is there twice in one object"),
        # For a reader, though not for JSON, the same name.
        ('{"a ": 1, "a\\u200e": 1}', "it is not JSON: a name is there twice in one object"),
        ("{", "it is not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
    ],
)
def test_what_is_no_json(text: str, said: str) -> None:
    with pytest.raises(MalformedError) as caught:
        documents.parse(text)
    assert str(caught.value) == said


def test_a_difference_is_told_in_short() -> None:
    with pytest.raises(MalformedError) as caught:
        documents.check({"version": "x" * 1000}, SCHEMA, "framework.import")
    assert len(str(caught.value)) == 300
    assert documents.defines(SCHEMA, "framework.import")
    assert not documents.defines(SCHEMA, "framework.unknown")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a b\nc", "a b\nc"),
        ("é\nü", "é\nü"),
        ("a\tb\x1b[2J", "a b [2J"),
        # Directions, and half a character.
        ("a\u202eb\ud800", "a b "),
        ("", ""),
    ],
)
def test_plain_text_steers_nothing(text: str, shown: str) -> None:
    assert plain(text) == shown
