"""The result as SARIF 2.1.0 (OASIS), which code hosts and editors show beside the lock."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .findings import LOADING, Finding
from .report import Report

_NAME = "metal-lab linkcheck"
_SEPARATORS = "[-_.]+"


def write(report: Report, lock: Path | None, path: Path) -> None:
    """Write a report to a file.

    Args:
        report: the report.
        lock: the file that was checked, to whose lines findings are bound, or the environment's folder.
        path: where.
    """
    path.write_text(json.dumps(document(report, lock), indent=1) + "\n", encoding="utf-8")


def document(report: Report, lock: Path | None) -> dict[str, Any]:
    """The report as a SARIF log of one run."""
    lines = lock.read_text(encoding="utf-8", errors="replace").splitlines() if lock and lock.is_file() else []
    rules = sorted({one.kind for one in report.findings})
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": _NAME, "rules": [{"id": kind} for kind in rules]}},
                "results": [_result(report, one, lock, lines) for one in report.findings],
            }
        ],
    }


def _result(report: Report, finding: Finding, lock: Path | None, lines: list[str]) -> dict[str, Any]:
    said = [finding.message, f"On macOS {report.spans(finding.releases)}."]
    if finding.chain:
        said.append(" → ".join(finding.chain) + ".")
    result: dict[str, Any] = {
        "ruleId": finding.kind,
        "level": "error" if finding.kind in LOADING else "warning",
        "message": {"text": f"{finding.subject}: {' '.join(said)}"},
        "partialFingerprints": {"finding/v1": finding.id},
    }
    if lock is not None:
        place = {"artifactLocation": {"uri": _address(lock)}, "region": {"startLine": _line(finding.package, lines)}}
        result["locations"] = [{"physicalLocation": place}]
    if finding.accepted is not None:
        result["suppressions"] = [{"kind": "external", "justification": finding.accepted.reason}]
    return result


def _address(lock: Path) -> str:
    """A file's address, relative to the current folder where it is below it: so that it fits a checkout."""
    whole = lock.resolve()
    return quote(whole.relative_to(Path.cwd()).as_posix()) if whole.is_relative_to(Path.cwd()) else whole.as_uri()


def _line(package: str | None, lines: list[str]) -> int:
    """The line of a lock on which a package stands: `NAME==…` or `name = "NAME"`; else the first."""
    if package is None:
        return 1
    name = re.sub(_SEPARATORS, _SEPARATORS, package)
    pattern = re.compile(rf"(?:name = \"{name}\"|{name}(?![\w.-]))", re.IGNORECASE)
    return next((number for number, line in enumerate(lines, 1) if pattern.match(line)), 1)
