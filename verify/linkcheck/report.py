"""The result as JSON (linkcheck.schema.json) and as a table."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from rich import markup
from rich.console import Console
from rich.table import Table

from .. import macos
from ..text import shown
from .findings import SHOWN, Counts, Finding, plain_line

SCHEMA = Path(__file__).with_name("linkcheck.schema.json")
SCHEMA_VERSION = 2


@dataclass(frozen=True)
class Choice:
    """Wheels that some releases of macOS take.

    Attributes:
        releases: the releases, each with all up to the next one of the report's.
        differs: packages (NAME-VERSION) of which they take another wheel than the oldest release.
        counts: how much was looked at.
        wheels: by package, the newest macOS that its wheel names, where it names any: the number before the dot.
    """

    releases: tuple[str, ...]
    differs: tuple[str, ...]
    counts: Counts
    wheels: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """A check's result with what it is about.

    Attributes:
        subject: what was checked: a profile's name, a file's, or an environment's folder.
        platform: the platform whose wheels were checked.
        python: Python's minor version.
        releases: the releases of macOS that are told apart, oldest first; each stands for all up to the next one.
        choices: the wheels that they take.
        lock_sha256: digest of the lock file, None where there is none.
        checked_at: time of the check, UTC, ISO 8601.
        seconds: how long it took, laying down included.
        peak_mb: most memory that the process, or one that it started, had in use, in MB (10^6 bytes).
        findings, assumptions: as in findings.Result.
    """

    subject: str
    platform: str
    python: str
    releases: tuple[str, ...]
    choices: tuple[Choice, ...]
    lock_sha256: str | None
    checked_at: str
    seconds: float
    peak_mb: float
    findings: tuple[Finding, ...]
    assumptions: tuple[str, ...]

    @property
    def loads(self) -> bool:
        """Whether nothing was found but what is accepted."""
        return all(one.accepted is not None for one in self.findings)

    def spans(self, releases: Iterable[str]) -> str:
        """What some of its releases are called together, for example "14.4 to 15"."""
        own = [macos.parse_version(one) for one in self.releases]
        others = [one.version for one in macos.releases() if one.version > own[0]]
        return macos.spans(map(macos.parse_version, releases), {*own, *others})

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
        values["releases"] = tuple(data["releases"])
        values["choices"] = tuple(
            Choice(tuple(one["releases"]), tuple(one["differs"]), Counts(**one["counts"]), one["wheels"])
            for one in data["choices"]
        )
        values["assumptions"] = tuple(data["assumptions"])
        values["findings"] = tuple(
            Finding(
                one["kind"],
                one["subject"],
                one["message"],
                tuple(one["chain"]),
                tuple(one["symbols"]),
                tuple(one["details"]),
                releases=tuple(one["releases"]),
                package=one["package"],
            )
            for one in data["findings"]
        )
        return cls(**values)

    def with_findings(self, findings: Iterable[Finding]) -> "Report":
        """The report with other findings; those that name no release are true of all."""
        return replace(
            self, findings=tuple(one if one.releases else replace(one, releases=self.releases) for one in findings)
        )

    def without(self, left_out: Mapping[str, str]) -> "Report":
        """The report, in which it stands what was not looked at; that it is not there is nobody's fault.

        Args:
            left_out: why, by canonical name.
        """
        kept = (
            one for one in self.findings if one.kind != "requirement" or one.subject.rpartition(">")[2] not in left_out
        )
        said = (f"Not looked at, nor what it alone needs: {plain_line(why)}." for why in left_out.values())
        return replace(self, findings=tuple(kept), assumptions=(*said, *self.assumptions))


def merge(reports: list[Report]) -> Report:
    """One report of several about the same lock, each on other releases of macOS."""
    found: dict[Finding, tuple[str, ...]] = {}
    for one in (finding for report in reports for finding in report.findings):
        alike = replace(one, releases=())
        found[alike] = found.get(alike, ()) + one.releases
    return replace(
        reports[0],
        releases=_in_order(name for one in reports for name in one.releases),
        choices=tuple(choice for one in reports for choice in one.choices),
        peak_mb=max(one.peak_mb for one in reports),
        findings=tuple(replace(one, releases=_in_order(names)) for one, names in found.items()),
        assumptions=tuple(dict.fromkeys(sentence for one in reports for sentence in one.assumptions)),
    )


def _in_order(releases: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(releases, key=macos.parse_version))


def write_json(report: Report, path: Path) -> None:
    """Write a report's document to a file."""
    path.write_text(json.dumps(report.document(), indent=1) + "\n", encoding="utf-8")


def show(report: Report, console: Console) -> None:
    """Print a report: the verdict first, then each finding with its reasons, then what was counted and assumed."""
    new = [one for one in report.findings if one.accepted is None]
    known = [one for one in report.findings if one.accepted is not None]
    where = report.spans(report.releases)
    what = f"{report.subject} on {report.platform}, Python {report.python}, macOS {where}"
    if report.loads:
        console.print(f"[bold green]loads[/]: {escape(what)}")
    else:
        troubled = {name for one in new for name in one.releases}
        sound = report.spans(name for name in report.releases if name not in troubled)
        found = f"{len(new)} finding(s)" + (f", none of them on {sound}" if sound else "")
        console.print(f"[bold red]does not load as it should[/]: {escape(what)}: {found}")
    for line in _by_release(report):
        console.print(escape(line))
    if new:
        console.print(_table("Findings", new, report))
    if known:
        console.print(_table("Known and accepted in the profile", known, report))
    for choice in report.choices:
        console.print("\n".join(escape(line) for line in _counted(report, choice)))
    console.print(escape(f"{report.seconds:.1f} s, {report.peak_mb:.0f} MB; checked {report.checked_at}"))
    if report.assumptions:
        console.print("Assumed:")
        for sentence in report.assumptions:
            console.print(f"- {escape(sentence)}")


def _by_release(report: Report) -> Iterator[str]:
    """What is found on some releases only, a line for each choice of them."""
    groups: dict[tuple[str, ...], list[Finding]] = {}
    for one in report.findings:
        if one.releases != report.releases:
            groups.setdefault(one.releases, []).append(one)
    for releases, findings in groups.items():
        newer = [one for one in findings if one.kind in ("too-new", "metal-version")]
        said = []
        if newer:
            needed = " or ".join(sorted({detail for one in newer for detail in one.details}))
            said.append(f"{len(newer)} file(s) built for {needed}")
        if len(newer) < len(findings):
            said.append(f"{len(findings) - len(newer)} other finding(s)")
        accepted = ", accepted" if all(one.accepted for one in findings) else ""
        yield f"on macOS {report.spans(releases)}: {' and '.join(said)}{accepted}"


def _counted(report: Report, choice: Choice) -> Iterator[str]:
    counts = choice.counts
    differs = f", with other wheels of {', '.join(choice.differs)}" if choice.differs else ""
    yield f"macOS {report.spans(choice.releases)}{differs}:"
    yield (
        f"  {counts.packages} packages, {counts.files} files ({counts.hashed} compared with their RECORD), "
        f"{counts.images} Mach-O images in {counts.processes} loads"
    )
    yield (
        f"  {counts.dependencies} dependencies ({counts.system_dependencies} on macOS); symbols: {counts.symbols} "
        f"looked up, {counts.system_symbols + counts.flat_symbols} assumed in macOS, {counts.python_symbols} in Python"
    )


def _table(title: str, findings: list[Finding], report: Report) -> Table:
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
        where = "" if one.releases == report.releases else f" (macOS {report.spans(one.releases)})"
        table.add_row(f"[bold]{escape(one.id)}[/]{escape(where)}\n{escape(text)}")
    return table


def escape(text: str) -> str:
    """Text that wheels and indexes may have made up, for a console: it is no markup, and steers no terminal."""
    return markup.escape(shown(text))
