"""JSON that others wrote, machines' answers and files alike: read within limits and held against a schema, or refused.

What has passed here is finite, of the types and in the ranges that its schema says, has real dates, and no character
that steers what shows it: whatever reads it later need not doubt it.
"""

import errno
import functools
import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.protocols import Validator

from . import regular
from .text import plain

MAX_BYTES = 8_000_000
"""Of a document or an answer; a result has some hundred thousand, one of level soak with all its samples a million."""
MAX_DEPTH = 32
TIME = "%Y-%m-%dT%H:%M:%SZ"
"""How times are written, in UTC; the schemas' format `utc-time`."""
_SAID = 300
_FORMATS = FormatChecker()


class MalformedError(ValueError):
    """Something is not what its schema says; the message is one line."""


def read_text(path: Path) -> str:
    """The text of a file that others may have written.

    Raises:
        MalformedError: it cannot be read, is no regular file (a pipe would be waited for), or has more than MAX_BYTES.
    """
    try:
        return regular.content(path, MAX_BYTES).decode("utf-8")
    except regular.OddFileError as error:
        larger = error.errno == errno.EFBIG
        raise MalformedError(f"it has more than {MAX_BYTES} bytes" if larger else "it is not a regular file") from error
    except OSError as error:
        raise MalformedError(f"it cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise MalformedError(f"it is not text: {error}"[:_SAID]) from error


def parse(text: str) -> Any:
    """Data from its text: JSON as it is defined, without NaN, what is as large as infinity, and names that are there
    twice; nested MAX_DEPTH deep.

    Raises:
        MalformedError: it is something else.
    """
    if len(text) > MAX_BYTES:
        raise MalformedError(f"it has more than {MAX_BYTES} bytes")
    try:
        data = json.loads(text, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_object)
    except RecursionError as error:
        raise MalformedError(f"it is nested more than {MAX_DEPTH} deep") from error
    except ValueError as error:
        raise MalformedError(f"it is not JSON: {plain(str(error))}"[:_SAID]) from error
    return clean(data)


def clean(data: Any, depth: int = MAX_DEPTH) -> Any:
    """Data, of which every text is `plain`, every integer has at most 64 bits, and nothing is nested deeper.

    Raises:
        MalformedError: it is not so.
    """
    if isinstance(data, str):
        return plain(data)
    if isinstance(data, int) and not isinstance(data, bool) and abs(data) >= 2**63:
        raise MalformedError("it has an integer of more than 64 bits")
    if not isinstance(data, dict | list):
        return data
    if depth == 0:
        raise MalformedError(f"it is nested more than {MAX_DEPTH} deep")
    if isinstance(data, dict):
        return {plain(key): clean(value, depth - 1) for key, value in data.items()}
    return [clean(one, depth - 1) for one in data]


def check(data: Any, schema: Path, definition: str = "") -> Any:
    """Hold data against a schema, and return it.

    Args:
        data: what `parse` gave.
        schema: a JSON Schema file; of its formats `utc-time` is known.
        definition: name of one of its $defs, or "" for all of it.

    Raises:
        MalformedError: the first difference, with its place.
    """
    if wrong := next(_validator(schema, definition).iter_errors(data), None):
        raise MalformedError(f"{wrong.json_path}: {wrong.message}"[:_SAID])
    return data


def defines(schema: Path, definition: str) -> bool:
    """Whether a schema has a definition of that name among its $defs."""
    return definition in _schema(schema)["$defs"]


def time_of(text: str) -> datetime:
    """The time that a text in the format TIME names.

    Raises:
        ValueError: it names none.
    """
    return datetime.strptime(text, TIME).replace(tzinfo=UTC)


@_FORMATS.checks("utc-time", raises=ValueError)
def _is_time(value: object) -> bool:
    return not isinstance(value, str) or time_of(value).strftime(TIME) == value


@functools.cache
def _schema(schema: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(schema.read_text(encoding="utf-8"))
    return read


@functools.cache
def _validator(schema: Path, definition: str) -> Validator:
    whole = _schema(schema)
    wanted = {"$defs": whole["$defs"], "$ref": f"#/$defs/{definition}"} if definition else whole
    return Draft202012Validator(wanted, format_checker=_FORMATS)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, in which each name is there once: else two readers may read two things."""
    made = {plain(name): value for name, value in pairs}
    if len(made) < len(pairs):
        raise ValueError("a name is there twice in one object")
    return made


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON number")


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number[:20]} is too large for a number")
    return value
