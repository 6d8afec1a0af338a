"""History: each run's result kept per host, the last ones of each level."""

from pathlib import Path

from verify.results.model import HostReport, file_name

FOLDER = "history"
KEPT = 20
"""Results kept of each host and level: a quick run after every change does not push out the measured ones."""


def folder(results: Path, host: str) -> Path:
    """Where a host's earlier results are."""
    return results / FOLDER / file_name(host).removesuffix(".json")


def keep(report: HostReport, written: Path, results: Path) -> Path:
    """Keep a copy of a result, and let go of the oldest above KEPT.

    Args:
        report: what was written.
        written: its file.
        results: the folder for results.

    Returns:
        the copy's path, whose name sorts by time.

    Raises:
        OSError: the copy cannot be written.
    """
    kept = folder(results, report.host)
    kept.mkdir(parents=True, exist_ok=True)
    # Without colons, which some file systems do not take.
    stamp = report.started.replace("-", "").replace(":", "")
    copy = kept / f"{stamp}-{report.level}.json"
    copy.write_bytes(written.read_bytes())
    for old in sorted(kept.glob(f"*-{report.level}.json"))[:-KEPT]:
        old.unlink()
    return copy


def before(results: Path, host: str, started: str, level: str) -> Path | None:
    """The newest result kept of a host and level that is older than `started`, a result's own time."""
    stamp = started.replace("-", "").replace(":", "")
    older = [one for one in sorted(folder(results, host).glob(f"*-{level}.json")) if one.name < stamp]
    return older[-1] if older else None
