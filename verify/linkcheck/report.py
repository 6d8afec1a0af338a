"""The result as JSON (linkcheck.schema.json) and as a table."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .findings import SHOWN, Counts, Finding

SCHEMA = Path(__file__).with_name("linkcheck.schema.json")
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Report:
    """A check's result with what it is about.

    Attributes:
        subject: what was checked, for example a profile's name.
        platform: the platform whose wheels were checked.
        python: Python's minor version.
        macos_floor: oldest macOS.
        lock_sha256: digest of the lock file, None where there is none.
        checked_at: time of the check, UTC, ISO 8601.
        seconds: how long it took, laying down included.
        peak_mb: most memory that the process, or one that it started, had in use, in MB (10^6 bytes).
        counts, findings, assumptions: as in findings.Result.
    """

    subject: str
    platform: str
    python: str
    macos_floor: str
    lock_sha256: str | None
    checked_at: str
    seconds: float
    peak_mb: float
    counts: Counts
    findings: tuple[Finding, ...]
    assumptions: tuple[str, ...]

    @property
    def loads(self) -> bool:
        """Whether nothing was found but what is accepted."""
        return all(one.accepted is not None for one in self.findings)

    def document(self) -> dict[str, Any]:
        """The report as linkcheck.schema.json describes it."""
        data = asdict(self)
        data["findings"] = [{"id": one.id, **asdict(one)} for one in self.findings]
        return {"schema": SCHEMA_VERSION, "loads": self.loads, **data}

    @classmethod
    def from_document(cls, data: dict[str, Any]) -> "Report":
        """The report of a document without acceptances (what the cache holds).

        Raises:
            ValueError: it does not agree with the schema.
        """
        schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
        problem = next(Draft202012Validator(schema).iter_errors(data), None)
        if problem is not None:
            raise ValueError(problem.message)
        values = {key: value for key, value in data.items() if key not in ("schema", "loads")}
        values["counts"] = Counts(**data["counts"])
        values["assumptions"] = tuple(data["assumptions"])
        values["findings"] = tuple(
            Finding(
                one["kind"],
                one["subject"],
                one["message"],
                tuple(one["chain"]),
                tuple(one["symbols"]),
                tuple(one["details"]),
            )
            for one in data["findings"]
        )
        return cls(**values)

    def with_findings(self, findings: list[Finding]) -> "Report":
        """The report with other findings."""
        return replace(self, findings=tuple(findings))


def write_json(report: Report, path: Path) -> None:
    """Write a report's document to a file."""
    path.write_text(json.dumps(report.document(), indent=1) + "\n", encoding="utf-8")


def show(report: Report, console: Console) -> None:
    """Print a report: the verdict first, then each finding with its reasons, then what was counted and assumed."""
    new = [one for one in report.findings if one.accepted is None]
    known = [one for one in report.findings if one.accepted is not None]
    what = f"{report.subject} on {report.platform}, Python {report.python}, macOS {report.macos_floor}"
    if report.loads:
        console.print(f"[bold green]loads[/]: {escape(what)}")
    else:
        console.print(f"[bold red]does not load as it should[/]: {escape(what)}: {len(new)} finding(s)")
    if new:
        console.print(_table("Findings", new))
    if known:
        console.print(_table("Known and accepted in the profile", known))
    counts = report.counts
    lines = [
        f"{counts.packages} packages, {counts.files} files ({counts.hashed} compared with their RECORD), "
        f"{counts.images} Mach-O images in {counts.processes} loads",
        f"{counts.dependencies} dependencies ({counts.system_dependencies} on macOS); symbols: {counts.symbols} looked "
        f"up, {counts.system_symbols} assumed in macOS, {counts.python_symbols} in Python",
        f"{report.seconds:.1f} s, {report.peak_mb:.0f} MB; checked {report.checked_at}",
    ]
    console.print("\n".join(escape(line) for line in lines))
    if report.assumptions:
        console.print("Assumed:")
        for sentence in report.assumptions:
            console.print(f"- {escape(sentence)}")


def _table(title: str, findings: list[Finding]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False, show_lines=True)
    table.add_column(overflow="fold")
    for one in findings:
        lines = [one.message]
        if one.chain:
            lines.append(" → ".join(one.chain))
        for several in (one.symbols, one.details):
            lines.extend(f"  {detail}" for detail in several[:SHOWN])
            if len(several) > SHOWN:
                lines.append(f"  and {len(several) - SHOWN} more (--json has them all)")
        if one.accepted is not None:
            lines.append(f"Accepted: {one.accepted.reason} {one.accepted.link}")
        text = "\n".join(lines)
        table.add_row(f"[bold]{escape(one.id)}[/]\n{escape(text)}")
    return table
