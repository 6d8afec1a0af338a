"""The summary on the terminal: the verdict first, then the numbers, then what to do."""

import io
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..checks import advice
from ..results.model import CheckResult, FrameworkReport, HostReport
from ..text import plain
from . import labels
from .language import Language

_STYLE = {"pass": "green", "warn": "yellow", "fail": "bold red", "skip": "dim"}
WIDTH = 110
"""Columns of a line."""


def host(report: HostReport, spoken: Language, *, colour: bool) -> str:
    """What is said of one host.

    Args:
        report: its report.
        spoken: the language to write it in.
        colour: whether the terminal shows colours; without, the text is plain.
    """
    console = _console(colour=colour)
    with console.capture() as capture:
        _host(console, report, spoken)
    return capture.get()


def unshown(report: HostReport, spoken: Language, *, colour: bool) -> str:
    """What is said of a host of which `host` fails: that nothing is said of it, and why."""
    console = _console(colour=colour)
    with console.capture() as capture:
        word = spoken.lookup(labels.VERDICTS["unverified"]).upper()
        console.print(Text.assemble(plain(report.host), ": ", Text(word, "bold red")))
        console.print(Text(plain(report.checks[-1].message)))
        console.print()
    return capture.get()


def places(written: list[Path], report: Path | None, spoken: Language) -> str:
    """Where the results are.

    Args:
        written: their files.
        report: the page for people, None where none was made.
        spoken: the language to write it in.
    """
    console = _console(colour=False)
    with console.capture() as capture:
        console.print(Text(spoken.gettext("Results: %(paths)s", paths=", ".join(near(path) for path in written))))
        if report is not None:
            console.print(Text(spoken.gettext("Report: %(path)s", path=near(report))))
    return capture.get()


def _console(*, colour: bool) -> Console:
    return Console(file=io.StringIO(), width=WIDTH, force_terminal=colour, no_color=not colour)


def _host(console: Console, report: HostReport, spoken: Language) -> None:
    """Text objects only, never markup: what a host says must not be read as markup."""
    failed = sum(one.result == "fail" for one in report.checks)
    word = spoken.lookup(labels.VERDICTS[report.verdict]).upper()
    verdict = Text(word, "bold green" if report.verdict == "healthy" else "bold red")
    counts = (
        spoken.ngettext("%(n)s failed", "%(n)s failed", failed)
        if failed
        else spoken.gettext("every required check passed")
    )
    if report.verdict == "unverified":
        counts = spoken.gettext("nothing is said of it")
    facts = [labels.against(report.profile, spoken), report.level, f"{report.seconds:.0f} s"]
    if report.machine:
        cpu = report.machine["cpu"]
        if report.machine.get("virtual"):
            cpu = spoken.gettext("virtual Mac, %(cpu)s", cpu=cpu)
        facts = [f"{cpu}, {report.machine['system']} {report.machine['os_version']}", *facts]
    console.print(Text.assemble(plain(report.host), ": ", verdict, f", {counts}  ({plain('; '.join(facts))})"))
    rows = {name: one for name, one in report.frameworks.items() if one.result != "skip"}
    if rows:
        console.print(_table(report, rows, spoken))
    for one in report.checks:
        if one.result in ("fail", "warn"):
            kind = f"{spoken.lookup(labels.RESULTS[one.result])} {one.check} [{one.fault}]: "
            console.print(Text.assemble((kind, _STYLE[one.result]), plain(one.message)))
            what = spoken.lookup(advice.current(one.fault, one.advice))
            console.print(Text(f"     {plain(advice.addressed(what, report.profile))}"))
    console.print()


def _table(report: HostReport, rows: dict[str, FrameworkReport], spoken: Language) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for title in (
        spoken.gettext("framework"),
        spoken.gettext("version"),
        spoken.gettext("device"),
        spoken.gettext("value"),
        spoken.gettext("fp32 TFLOPS (quartiles)"),
        spoken.gettext("verdict"),
    ):
        table.add_column(title)
    for name, one in rows.items():
        told = (f"{name}.value", f"{name}.generate")
        value = next((check for check in report.checks if check.check in told), None)
        cells = [name, one.version or "-", one.device or "-", _value(value, spoken), _speed(one, spoken)]
        verdict = spoken.lookup(labels.RESULTS[one.result])
        if not one.required:
            verdict = spoken.gettext("%(result)s (optional)", result=verdict)
        table.add_row(*(Text(plain(cell)) for cell in cells), Text(verdict, _STYLE[one.result]))
    return table


def _value(check: CheckResult | None, spoken: Language) -> str:
    if check is None or check.result == "skip":
        return "-"
    return spoken.gettext("exact") if check.result == "pass" else check.fault


def _speed(one: FrameworkReport, spoken: Language) -> str:
    """The largest float32 product."""
    single = [product for product in one.matmul if product.dtype == "float32"]
    if not single:
        return "-"
    best = max(single, key=lambda product: product.n)
    noisy = spoken.gettext(", noisy") if best.noisy else ""
    return f"{spoken.number(best.tflops)} ({spoken.span(best.tflops_low, best.tflops_high)}{noisy})"


def near(path: Path) -> str:
    """A path as one would type it from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
