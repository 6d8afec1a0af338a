"""History: each run's result kept per host, the last ones of each profile and level."""

from datetime import UTC, datetime
from pathlib import Path

from .. import documents
from ..documents import MalformedError
from . import files
from .model import HostReport

KEPT = 20
"""Results kept of each host, profile and level: a quick run after every change does not push out the measured ones."""


def folder(results: Path, host: str) -> Path:
    """Where a host's earlier results are."""
    return results / files.HISTORY / files.safe(host)


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
    copy = kept / f"{_stamp(report.started)}-{_series(report.profile, report.level)}"
    files.replace(copy, content)
    past = [one for one in _all(kept, report.profile, report.level) if one.name < _stamp(_latest())]
    for old in past[:-KEPT]:
        old.unlink(missing_ok=True)
    return copy


def before(results: Path, host: str, profile: str, started: str, level: str) -> Path | None:
    """The newest result kept of a host, profile and level that is older than `started`, a result's own time."""
    older = [one for one in _all(folder(results, host), profile, level) if one.name < _stamp(started)]
    return older[-1] if older else None


def _series(profile: str, level: str) -> str:
    return f"{level}.{files.safe(profile, '_-')}.json"


def _all(kept: Path, profile: str, level: str) -> list[Path]:
    """All of a series, by time; with those of versions that knew one profile, whose names do not say which."""
    former = [one for one in kept.glob(f"*-{level}.json") if _is_of(one, profile)]
    return sorted([*kept.glob(f"*-{_series(profile, level)}"), *former])


def _is_of(path: Path, profile: str) -> bool:
    try:
        return bool(files.load(path).data["profile"] == profile)
    except MalformedError:
        # Whoever wants to compare with it is told why that cannot be.
        return True


def _stamp(started: str) -> str:
    # Without colons, which some file systems do not take.
    return started.replace("-", "").replace(":", "")


def _latest() -> str:
    return (datetime.now(UTC) + files.SKEW).strftime(documents.TIME)
