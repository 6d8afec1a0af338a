"""The summary on the terminal: the verdict first, then the numbers, then what to do."""

import io
import unicodedata
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from verify.results import CheckResult, FrameworkReport, HostReport

_STYLE = {"pass": "green", "warn": "yellow", "fail": "bold red", "skip": "dim"}
_WIDTH = 110


def plain(text: str) -> str:
    """Text of a host without control characters: it may not steer the terminal that shows it."""
    return "".join(" " if unicodedata.category(one) in ("Cc", "Cf", "Cs") and one != "\n" else one for one in text)


def render(reports: list[HostReport], written: list[Path], *, colour: bool) -> str:
    """The summary of a run.

    Args:
        reports: one per host.
        written: the files with the results.
        colour: whether the terminal shows colours; without, the text is plain.
    """
    console = Console(
        file=io.StringIO(), width=_WIDTH, force_terminal=colour, no_color=not colour, highlight=False, emoji=False
    )
    with console.capture() as capture:
        console.print()
        for report in reports:
            _host(console, report)
        console.print(Text(f"Results: {', '.join(_near(path) for path in written)}"))
    return capture.get()


def _host(console: Console, report: HostReport) -> None:
    """Text objects only, never markup: what a host says must not be read as markup."""
    failed = sum(one.result == "fail" for one in report.checks)
    verdict = Text("HEALTHY", "bold green") if report.verdict == "healthy" else Text("UNHEALTHY", "bold red")
    counts = f"{failed} failed" if failed else "every required check passed"
    facts = [report.profile, report.level, f"{report.seconds:.0f} s"]
    if report.machine:
        facts = [f"{report.machine['cpu']}, {report.machine['system']} {report.machine['os_version']}", *facts]
    console.print(Text.assemble(plain(report.host), ": ", verdict, f", {counts}  ({plain('; '.join(facts))})"))
    rows = {name: one for name, one in report.frameworks.items() if one.result != "skip"}
    if rows:
        console.print(_table(report, rows))
    for one in report.checks:
        if one.result in ("fail", "warn"):
            kind = f"{one.result} {one.check} [{one.fault}]: "
            console.print(Text.assemble((kind, _STYLE[one.result]), plain(one.message)))
            console.print(Text(f"     {one.advice}"))
    console.print()


def _table(report: HostReport, rows: dict[str, FrameworkReport]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for title in ("framework", "version", "device", "value"):
        table.add_column(title)
    table.add_column("fp32 TFLOPS (quartiles)")
    table.add_column("verdict")
    for name, one in rows.items():
        value = next((check for check in report.checks if check.check == f"{name}.value"), None)
        cells = [name, one.version or "-", one.device or "-", _value(value), _speed(one)]
        verdict = one.result if one.required else f"{one.result} (optional)"
        table.add_row(*(Text(plain(cell)) for cell in cells), Text(verdict, _STYLE[one.result]))
    return table


def _value(check: CheckResult | None) -> str:
    if check is None or check.result == "skip":
        return "-"
    return "exact" if check.result == "pass" else check.fault


def _speed(one: FrameworkReport) -> str:
    if one.matmul is None:
        return "-"
    noisy = ", noisy" if one.matmul.noisy else ""
    return f"{one.matmul.tflops:.3g} ({one.matmul.tflops_low:.3g} to {one.matmul.tflops_high:.3g}{noisy})"


def _near(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
