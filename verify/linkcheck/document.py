"""docs/compatibility.md and the tables in it."""

from dataclasses import asdict, dataclass
from typing import Any

from ..profile.model import Profile
from .findings import LOADING, Finding

_BAR = "&#124;"
_HEADING = "\n## "
_INTRODUCTION = """\
# Which versions load together

Written by `python -m verify compat`: to ask about other versions, change `verify/linkcheck/matrices.yml` and run it
again (it downloads about 12 GB and removes them again), or with `--matrix TITLE` for the table in question alone. It
looks only into the macOS wheels: nothing here ran on a Mac.

*loads*: every library is found and every symbol that one wheel takes from another is exported by it, followed by dyld's
rules from the Python statement that starts it; nothing is compiled against another NumPy than the one that is there,
and no two packages bring runtimes that break each other. It does not say that the results are right; [what the check
cannot see](linkcheck.md#what-it-cannot-see) stands in one list. *declared*: the packages' own requirements allow the
choice, so that pip and uv install it without being forced.

Where a library is found only because Python code imports another package first, as torchaudio's by torch, that is taken
for granted. Below each table stand reports from users' Macs, and whether the check says the same.
"""


@dataclass(frozen=True)
class Row:
    """What one choice of versions came to.

    Attributes:
        versions: by package name.
        declared: whether the packages' own requirements allow the choice.
        findings: what keeps the packages, or what they link to, from loading.
        notes: what was read about them that is no finding.
    """

    versions: dict[str, str]
    declared: bool
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    @property
    def loads(self) -> bool:
        """Whether the packages load together, whatever they declare."""
        return not [one for one in self.findings if one.kind != "requirement"]


def concerns(finding: Finding, names: set[str]) -> bool:
    """Whether a finding says something about how the named packages load together."""
    if finding.kind == "requirement":
        return set(finding.subject.split(">")) <= names
    return finding.kind in LOADING


def as_data(row: Row) -> dict[str, Any]:
    """A row as plain data, for JSON."""
    return {"loads": row.loads, **asdict(row)}


def table(rows: list[Row]) -> str:
    """Rows as a Markdown table: a column for each package, then the verdict."""
    names = list(rows[0].versions)
    lines = [
        f"| {' | '.join(names)} | loads | declared | why |",
        f"|{'---|' * (len(names) + 3)}",
    ]
    for row in rows:
        cells = [*(row.versions[name] for name in names), _yes(row.loads), _yes(row.declared), _why(row)]
        lines.append(f"| {' | '.join(cell.replace('|', _BAR) for cell in cells)} |")
    return "\n".join(lines)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _why(row: Row) -> str:
    said = [finding.message.rstrip(".") for finding in row.findings if not finding.chain]
    by_chain: dict[tuple[str, ...], list[Finding]] = {}
    for finding in row.findings:
        if finding.chain:
            by_chain.setdefault(finding.chain, []).append(finding)
    said += [f"{' → '.join(chain)}: {_reasons(findings)}" for chain, findings in by_chain.items()]
    return "; ".join(said or [note.rstrip(".") for note in row.notes] or ["every symbol resolves"])


def _reasons(findings: list[Finding]) -> str:
    """What is wrong at the end of one chain: libraries that are not found, then how many symbols are missing."""
    libraries = [f"`{one.subject.partition('>')[2]}`" for one in findings if one.kind == "missing-dependency"]
    symbols = sorted({name for one in findings for name in one.symbols})
    said = [one.message.rstrip(".") for one in findings if not one.kind.startswith("missing-")]
    if libraries:
        said.append(f"{', '.join(libraries)} not found")
    if symbols:
        more = len(symbols) - 1
        said.append(f"missing `{symbols[0]}`" + (f" and {more} more, {len(symbols)} in all" if more else ""))
    return "; ".join(said)


def render(parts: list[str]) -> str:
    """The document of its sections."""
    return "\n".join([_INTRODUCTION, *parts])


def sections(text: str) -> dict[str, str]:
    """The sections of a document, by their titles."""
    _, *parts = f"\n{text}".split(_HEADING)
    return {part.partition("\n")[0]: f"{_HEADING[1:]}{part.rstrip()}\n" for part in parts}


def section(matrix: dict[str, Any], rows: list[Row], loaded: Profile, today: str) -> str:
    """The section of a matrix.

    Args:
        matrix: from matrices.yml.
        rows: what its choices came to.
        loaded: the profile that Python and macOS's floor are taken from.
        today: YYYY-MM-DD.
    """
    parts = [f"{_HEADING[1:]}{matrix['title']}", ""]
    if "about" in matrix:
        parts += [matrix["about"].strip(), ""]
    floor = loaded.platform("darwin-arm64").macos_floor
    parts += [
        f"Checked on {today} for CPython {loaded.python}, in the wheels that macOS {floor} takes, with uploads up to "
        f"{loaded.locked_on}.",
        "",
        table(rows),
    ]
    reports = [_report(one, rows) for one in matrix.get("reports", [])]
    if reports:
        parts += ["", "Reports from users' Macs:", "", *reports]
    return "\n".join(parts) + "\n"


def _report(report: dict[str, Any], rows: list[Row]) -> str:
    """A report from the field beside what the check says of the same versions."""
    wanted = report["versions"]
    row = next((one for one in rows if all(one.versions.get(name) == v for name, v in wanted.items())), None)
    if row is None:
        verdict = "not in the table"
    elif row.loads == report["loads"]:
        verdict = "the check agrees"
    else:
        verdict = f"**the check disagrees**: {report['disagreement']}"
    versions = " with ".join(f"{name} {version}" for name, version in wanted.items())
    return f"- {versions}: {report['said']} ({report['link']}): {verdict}."
