"""History: each run's result kept per host, the last ones of each level."""

from datetime import UTC, datetime
from pathlib import Path

from .. import documents
from . import files
from .model import HostReport

FOLDER = "history"
KEPT = 20
"""Results kept of each host and level: a quick run after every change does not push out the measured ones."""


def folder(results: Path, host: str) -> Path:
    """Where a host's earlier results are."""
    return results / FOLDER / files.file_name(host).removesuffix(".json")


def keep(report: HostReport, content: bytes, results: Path) -> Path:
    """Keep a result, and let go of the oldest above KEPT.

    Those whose time has not been yet are not counted: a clock that was wrong once pushes nothing out.

    Args:
        report: the result.
        content: of its file.
        results: the folder for results.

    Returns:
        the path of what was kept; its name sorts by time.

    Raises:
        OSError: it cannot be written.
    """
    kept = folder(results, report.host)
    kept.mkdir(parents=True, exist_ok=True)
    copy = kept / f"{_stamp(report.started)}-{report.level}.json"
    files.replace(copy, content)
    past = [one for one in _of_level(kept, report.level) if one.name < _stamp(_latest())]
    for old in past[:-KEPT]:
        old.unlink(missing_ok=True)
    return copy


def before(results: Path, host: str, started: str, level: str) -> Path | None:
    """The newest result kept of a host and level that is older than `started`, a result's own time."""
    older = [one for one in _of_level(folder(results, host), level) if one.name < _stamp(started)]
    return older[-1] if older else None


def _of_level(kept: Path, level: str) -> list[Path]:
    return sorted(kept.glob(f"*-{level}.json"))


def _stamp(started: str) -> str:
    # Without colons, which some file systems do not take.
    return started.replace("-", "").replace(":", "")


def _latest() -> str:
    return (datetime.now(UTC) + files.SKEW).strftime(documents.TIME)
