"""The results themselves, as a link that holds them."""

import base64
import gzip
import json
from typing import Any

from ..results.files import Stored


def link(results: list[Stored]) -> str:
    """A data: address of all results, a JSON list, packed in one: what hosts have in common counts once.

    Without packing the figures would be most of the page.
    """
    text = json.dumps([_rounded(one.data) for one in results], separators=(",", ":"))
    # Without the time, so that the same results give the same link.
    packed = gzip.compress(text.encode(), mtime=0)
    return f"data:application/gzip;base64,{base64.b64encode(packed).decode()}"


def _rounded(data: Any) -> Any:
    """Data whose lists of measured numbers have six significant digits, more than any timing is good for."""
    if isinstance(data, dict):
        return {key: _rounded(value) for key, value in data.items()}
    if isinstance(data, list):
        return [float(f"{one:.6g}") if isinstance(one, float) else _rounded(one) for one in data]
    return data
