"""Results read back: the JSON files of earlier runs, trusted as far as the schema goes."""

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from verify.results.model import SCHEMA, SCHEMA_VERSION

_MAX_BYTES = 16_000_000
"""A result has some ten thousand bytes; far larger is something else, and is not read."""
_SAID = 200


class UnreadableError(ValueError):
    """A file is no result that this version understands; the message is one line."""


@dataclass(frozen=True)
class Stored:
    """A result.

    Attributes:
        path: its file.
        text: the file as it is.
        data: its content, after result.schema.json.
    """

    path: Path
    text: str
    data: dict[str, Any]


@dataclass(frozen=True)
class Refused:
    """A file that is no result that this version understands, and why."""

    path: Path
    reason: str


@functools.cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))


def read_text(path: Path) -> str:
    """The text of a file that others may have written.

    Raises:
        UnreadableError: it cannot be read, or is far too large.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise UnreadableError(f"it has more than {_MAX_BYTES} bytes")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UnreadableError(f"it cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UnreadableError(f"it is no text: {error}"[:_SAID]) from error


def parse_json(text: str) -> Any:
    """Data from its text.

    Raises:
        UnreadableError: it is no JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"it is no JSON: {error}"[:_SAID]) from error


def load(path: Path) -> Stored:
    """Read one result.

    Raises:
        UnreadableError: it cannot be read, is no JSON, or does not follow the schema.
    """
    text = read_text(path)
    data = parse_json(text)
    if not isinstance(data, dict) or "schema" not in data:
        raise UnreadableError("it is no result of verify")
    if data["schema"] != SCHEMA_VERSION:
        raise UnreadableError(f"it has schema {data['schema']!r}, understood is {SCHEMA_VERSION}"[:_SAID])
    if wrong := next(_validator().iter_errors(data), None):
        raise UnreadableError(f"{wrong.json_path}: {wrong.message}"[:_SAID])
    return Stored(path, text, data)


def gather(folder: Path) -> tuple[list[Stored], list[Refused]]:
    """All results of a folder, in the order of their files' names; and the JSON files that are none."""
    found: list[Stored] = []
    refused: list[Refused] = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(load(path))
        except UnreadableError as error:
            refused.append(Refused(path, str(error)))
    return found, refused
