"""What the check finds: problems, assumptions, counts."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from packaging.specifiers import SpecifierSet

from ..profile.model import AcceptedFinding
from ..text import line

SHOWN = 8
"""How many symbols or files of one finding are spelled out in a table; the JSON has them all."""

_LONGEST = 8192
"""Characters of a text; the longest known symbol has some 4,000."""


@dataclass(frozen=True)
class Finding:
    """A reason for which something does not load, or is not what its package says.

    Attributes:
        kind: short fixed name, for example missing-symbol.
        subject: the file or package that it is about; with the kind it is the finding's id.
        message: what was found and what it means, one sentence.
        chain: how the subject comes to be loaded, outermost first, for example ("import tensorflow", "…/x.dylib").
        symbols: the symbols that are missing.
        details: every path, place, package or release concerned.
        accepted: the profile's word that it is known, or None.
        releases: the releases of macOS that it is found on; each stands for all up to the next that is told apart.
        package: the package that has the file, or is the subject.
    """

    kind: str
    subject: str
    message: str
    chain: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    accepted: AcceptedFinding | None = None
    releases: tuple[str, ...] = ()
    package: str | None = None

    @property
    def id(self) -> str:
        """What a profile names to accept it."""
        return f"{self.kind}:{self.subject}"


@dataclass
class Counts:
    """How much was looked at.

    Attributes:
        packages, files: installed distributions, and files in the tree.
        images: arm64 Mach-O images.
        processes: loads that were followed: each extension module, plugin, library and program in a process of its own.
        dependencies: links from an image to a library.
        system_dependencies: those among them that macOS must have.
        symbols: symbols that an image binds to the environment and that were looked up there.
        system_symbols: symbols bound to macOS's libraries, assumed to be there.
        flat_symbols: symbols looked up in all images that none exports, assumed in macOS's libraries.
        python_symbols: symbols bound to Python itself, assumed to be there.
        hashed: files whose hash was compared with their package's RECORD.
    """

    packages: int = 0
    files: int = 0
    images: int = 0
    processes: int = 0
    dependencies: int = 0
    system_dependencies: int = 0
    symbols: int = 0
    system_symbols: int = 0
    python_symbols: int = 0
    hashed: int = 0
    flat_symbols: int = 0


@dataclass
class Result:
    """All that a check found, in the order in which it was found."""

    findings: list[Finding] = field(default_factory=list)
    assumptions: list[str] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    releases: tuple[str, ...] = ()
    wheels: dict[str, int] = field(default_factory=dict)
    """By package, the newest macOS that its wheel names, where it names any: the number before the dot."""

    def assume(self, sentence: str) -> None:
        """Note something that the check takes for granted, once."""
        if sentence not in self.assumptions:
            self.assumptions.append(sentence)


LOADING = {
    "damaged",
    "metal-version",
    "missing-dependency",
    "missing-symbol",
    "mixed-runtime",
    "no-arm64",
    "numpy-abi",
    "pjrt-version",
    "plugin-entry",
    "too-new",
    "wheel-tag",
    "wrong-platform",
}
"""Kinds of findings that keep something from loading."""


def plain_line(text: str) -> str:
    """A text of or about a file, as it may be shown: one line that steers nothing, cut off where it is endless."""
    shown = line(text)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}… ({len(shown)} characters)"


def plain_finding(finding: Finding) -> Finding:
    """A finding, all of whose texts may be shown."""
    return replace(
        finding,
        subject=plain_line(finding.subject),
        message=plain_line(finding.message),
        chain=tuple(map(plain_line, finding.chain)),
        symbols=tuple(map(plain_line, finding.symbols)),
        details=tuple(map(plain_line, finding.details)),
        package=None if finding.package is None else plain_line(finding.package),
    )


def accept(findings: Iterable[Finding], accepted: Iterable[AcceptedFinding], where: str) -> list[Finding]:
    """Mark the findings that a profile accepts; an acceptance of something that is not found is a finding itself.

    Args:
        findings: what was found.
        accepted: what the profile accepts.
        where: the profile's file, for the message.
    """
    entries = list(accepted)
    marked: list[Finding] = []
    for finding in findings:
        rest = finding
        for entry in entries:
            covered = _covered(rest, entry)
            if covered == rest.releases:
                rest = replace(rest, accepted=entry)
                break
            if covered:
                marked.append(replace(rest, accepted=entry, releases=covered))
                rest = replace(rest, releases=tuple(one for one in rest.releases if one not in covered))
        marked.append(rest)
    used = {id(one.accepted) for one in marked}
    stale = [
        Finding(
            "stale-acceptance",
            one.finding,
            f"{where} accepts it ({one.reason}), and it is no longer found"
            f"{f' on macOS {one.macos}' if one.macos else ''}: remove the entry.",
        )
        for one in entries
        if id(one) not in used
    ]
    return marked + stale


def _covered(finding: Finding, entry: AcceptedFinding) -> tuple[str, ...] | None:
    """The releases on which an entry accepts a finding; None where it is about another one."""
    if entry.finding != finding.id:
        return None
    if entry.macos is None:
        return finding.releases
    return tuple(SpecifierSet(entry.macos).filter(finding.releases))
