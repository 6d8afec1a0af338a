"""The threat model names tests, and they exist."""

import re

import pytest

from verify import ROOT

TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`((?:tests|molecule)/\S+\.py)::(\w+)`", TEXT)


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[name for _, name in NAMED])
def test_a_test_that_is_named_exists(path: str, name: str) -> None:
    assert re.search(rf"^def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)


def test_every_row_names_one() -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("| to ") or line.startswith("| the same")]
    assert len(rows) == len(NAMED) == len(set(NAMED))


def test_how_to_report_invents_no_address() -> None:
    assert "@" not in (ROOT / "SECURITY.md").read_text(encoding="utf-8")
