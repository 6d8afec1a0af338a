"""Drift: what a run with --check would change, by machine and profile, kept in results/drift/drift.json."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .. import documents
from ..documents import MalformedError
from .files import SKEW, replace

SCHEMA = Path(__file__).resolve().parent / "drift.schema.json"
SCHEMA_VERSION = 3
Known = dict[str, dict[str, dict[str, Any]]]
"""By machine and profile, what a check would change."""
FILE = Path("drift") / "drift.json"
"""Below the results' folder."""
HEAD_LINES = 40
"""Lines of a difference that the report keeps; `--check --diff --limit HOST` shows all."""


def change(task: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """One change: the task, and the head of its difference.

    Args:
        task: its name.
        result: Ansible's, of a task that reported a change; its `diff` is one part or a list of them.
    """
    given = result.get("diff") or []
    parts = given if isinstance(given, list) else [given]
    lines: list[str] = []
    for part in parts:
        if "prepared" in part:
            lines += str(part["prepared"]).splitlines()
            continue
        lines.append(f"@ {part.get('after_header') or part.get('before_header') or task}")
        before, after = (_lines(part.get(key)) for key in ("before", "after"))
        lines += [f"-{line}" for line in before if line not in after]
        lines += [f"+{line}" for line in after if line not in before]
    return {"task": task, "diff": lines[:HEAD_LINES], "cut": len(lines) > HEAD_LINES}


def _lines(value: object) -> list[str]:
    text = value if isinstance(value, str) else json.dumps(value, indent=1, sort_keys=True) if value else ""
    return text.splitlines()


def read(folder: Path) -> Known:
    """What is known of each machine, after drift.schema.json; {} where nothing was looked at.

    Args:
        folder: the results'.

    Raises:
        MalformedError: the file is there, and is not such a one, or of a time that has not been yet.
    """
    path = folder / FILE
    if not path.exists():
        return {}
    data = documents.check(documents.parse(documents.read_text(path)), SCHEMA)
    known: Known = data["hosts"]
    latest = datetime.now(UTC) + SKEW
    for name, entry in ((name, entry) for name, profiles in known.items() for entry in profiles.values()):
        if documents.time_of(entry["time"]) > latest:
            raise MalformedError(f"the time of {name!r}, {entry['time']}, has not been yet")
    return known


def renew(folder: Path, looked: Known, converged: Mapping[str, str]) -> bool:
    """Bring the file up to date after a run; without anything to tell it goes.

    A machine that could not be asked has one entry, under "", in place of all others; the next one takes its place.

    Args:
        folder: the results'.
        looked: what a check found.
        converged: machines that a run has put in order for a profile, whose drift is no more.

    Returns:
        whether it tells something else now.
    """
    try:
        before = read(folder)
    except MalformedError:
        # Of another version, or nobody's: this run's is made in its place.
        before = {}
    # Nothing takes the place of what was put in order.
    news: Known = {**looked, **{name: {profile: {}} for name, profile in converged.items()}}
    after = dict(before)
    for name, new in news.items():
        kept = {} if "" in new else {one: entry for one, entry in after.get(name, {}).items() if one not in ("", *new)}
        after[name] = kept | {one: entry for one, entry in new.items() if entry}
    after = {name: profiles for name, profiles in after.items() if profiles}
    if after == before:
        return False
    path = folder / FILE
    if not after:
        path.unlink()
        return True
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"schema": SCHEMA_VERSION, "hosts": dict(sorted(after.items()))}, indent=2, ensure_ascii=False)
    replace(path, f"{text}\n".encode("utf-8", "backslashreplace"))
    return True
