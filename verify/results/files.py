"""Results as files: written whole or not at all, and read back as strictly as a machine's answer."""

import hashlib
import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from .. import documents
from ..documents import MalformedError
from .model import INTERNAL, SCHEMA_VERSION, HostReport, verdict_of, worst

SCHEMA = Path(__file__).resolve().parent / "result.schema.json"
FOLDER = "results"
"""Where results are, unless --results says otherwise."""
HISTORY = "history"
"""The folder in it with the earlier ones, host by host."""
SKEW = timedelta(minutes=5)
"""How far two machines' clocks may be apart: a later time is one that has not been yet."""
_WITHOUT_INTERNAL = 2
"""The version before, whose results have no check of verify itself; read as well, for what is kept in the history."""
_VERSIONS = (_WITHOUT_INTERNAL, SCHEMA_VERSION)
_MAX_NAME = 100


@dataclass(frozen=True)
class Stored:
    """A result.

    Attributes:
        path: its file.
        data: its content, after result.schema.json.
    """

    path: Path
    data: dict[str, Any]


@dataclass(frozen=True)
class Refused:
    """A file that is no result that this version understands, and why."""

    path: Path
    reason: str


def file_name(host: str, profile: str) -> str:
    """The name of the file for a host's result of a profile."""
    # No dot in the second part: mac.a with the profile b is not mac with a.b.
    return f"{safe(host)}.{safe(profile, '_-')}.json"


def safe(name: str, marks: str = "._-") -> str:
    """A name where it is safe everywhere as a part of a file's, else made safe, with a digest of it.

    Args:
        name: a host's, or a profile's.
        marks: what may be in it beside small letters and digits.
    """
    made = re.sub(f"[^a-z0-9{marks}]", "_", name.lower()).lstrip(".-")[:_MAX_NAME] or "host"
    digest = "" if made == name else "-" + hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{made}{digest}"


def _former_name(host: str) -> str:
    """The name of a host's file in versions that knew one profile."""
    return f"{safe(host)}.json"


def forget(directory: Path, host: str, profile: str, *, former: bool = False) -> None:
    """Take away a host's result of a profile.

    Args:
        directory: the results'.
        host, profile: of the result.
        former: only that which a version left that knew one profile.
    """
    if not former:
        (directory / file_name(host, profile)).unlink(missing_ok=True)
    old = directory / _former_name(host)
    if old.is_file():
        with suppress(MalformedError):
            data = load(old).data
            if (data["host"], data["profile"]) != (host, profile):
                return
        old.unlink(missing_ok=True)


def put(directory: Path, host: str, profile: str, content: bytes) -> Path:
    """Write a host's result of a profile in place of an older one; returns the file's path.

    Raises:
        OSError: it cannot be written.
    """
    path = directory / file_name(host, profile)
    replace(path, content)
    forget(directory, host, profile, former=True)
    return path


def serialize(report: HostReport) -> bytes:
    """A report as its file's content.

    Raises:
        MalformedError, ValueError: the report is not what the schema promises, a fault of this program.
    """
    data = report.as_data()
    text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    documents.check(data, SCHEMA)
    return text.encode("utf-8", "backslashreplace")


def replace(path: Path, content: bytes) -> None:
    """Write a file: beside its place and over it, so that a reader never sees half of one.

    Raises:
        OSError: it cannot be written; what was there before still is.
    """
    # A name of its own: two runs may write at the same time.
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise


def write(report: HostReport, directory: Path) -> Path:
    """Check a report against the schema and write it.

    Returns:
        the file's path.

    Raises:
        MalformedError, ValueError: the report is not what the schema promises, a fault of this program.
        OSError: the file cannot be written.
    """
    return put(directory, report.host, report.profile, serialize(report))


def understand(text: str, now: datetime) -> dict[str, Any]:
    """A result from its text.

    Args:
        text: JSON.
        now: the time, with its zone.

    Raises:
        MalformedError: it is no result that this version understands, says something that its checks do not, or is of a
            time that has not been yet.
    """
    data = documents.parse(text)
    if not isinstance(data, dict) or "schema" not in data:
        raise MalformedError("it is no result of verify")
    if data["schema"] not in _VERSIONS:
        raise MalformedError(f"it has schema {data['schema']!r}, understood is {SCHEMA_VERSION}"[:200])
    documents.check(data, SCHEMA)
    if documents.time_of(data["started"]) > now + SKEW:
        raise MalformedError(f"its time, {data['started']}, has not been yet: the clock was wrong, there or here")
    if wrong := _contradiction(data):
        raise MalformedError(wrong)
    return data


def _contradiction(data: dict[str, Any]) -> str:
    """What a result says of itself that is not so: who reads only a part of it must not read something else."""
    checks = [(one["check"], one["result"]) for one in data["checks"]]
    if len(dict(checks)) < len(checks):
        return "one of its checks is there twice"
    if data["schema"] == _WITHOUT_INTERNAL:
        checks.append((INTERNAL, "pass"))
    verdict = data["verdict"]
    if verdict != verdict_of(checks):
        return f"its verdict is {verdict}, which its checks do not say"
    for name, framework in data["frameworks"].items():
        own = [result for check, result in checks if check.startswith(f"{name}.")]
        # Where verify did not get to the end, neither did the framework's result.
        if verdict != "unverified" and framework["result"] != worst(own):
            return f"its result of {name} is {framework['result']}, which its checks do not say"
        spreads = [(one["tflops_low"], one["tflops"], one["tflops_high"]) for one in framework["matmul"]]
        if moved := framework["bandwidth"]:
            spreads.append((moved["gb_s_low"], moved["gb_s"], moved["gb_s_high"]))
        if any(not low <= middle <= high for low, middle, high in spreads):
            return f"a figure of {name} lies outside of its quartiles"
    return ""


def results_of(path: Path) -> Path:
    """The folder for results that a result lies in, also where it is an earlier one, in the history."""
    folder = path.parent
    return folder.parent.parent if folder.parent.name == HISTORY else folder


def load(path: Path, now: datetime | None = None) -> Stored:
    """Read one result.

    Args:
        path: its file.
        now: the time, with its zone; by default the clock's.

    Raises:
        MalformedError: it cannot be read, or `understand` refuses it.
    """
    return Stored(path, understand(documents.read_text(path), now or datetime.now(UTC)))


def gather(folder: Path) -> tuple[list[Stored], list[Refused]]:
    """All results of a folder, in the order of their files' names; and the JSON files that are none."""
    found: list[Stored] = []
    refused: list[Refused] = []
    for path in sorted(folder.glob("*.json")):
        try:
            stored = load(path)
            host, profile = stored.data["host"], stored.data["profile"]
            if path.name not in (file_name(host, profile), _former_name(host)):
                raise MalformedError(f"it is of the machine {host!r} ({profile}), whose file has another name")
            found.append(stored)
        except MalformedError as error:
            refused.append(Refused(path, str(error)))
    return found, refused
