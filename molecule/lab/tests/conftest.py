"""What the tests share: no Mac outlives them."""

from collections.abc import Iterator

import lab
import pytest


@pytest.fixture(scope="module", autouse=True)
def _no_macs_left() -> Iterator[None]:
    yield
    lab.end_macs()
