"""The strict reader at its limits."""

import pytest

from verify import documents
from verify.documents import MAX_DEPTH, MalformedError


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
