"""What was measured on a host, as charts and tables for people."""

from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from . import charts, labels
from .labels import DTYPES, framework
from .language import Language

_NONE = "\N{EN DASH}"


@dataclass(frozen=True)
class Figure:
    """A chart, its caption, and a note to it, "" for none."""

    picture: Markup
    caption: str
    note: str


@dataclass(frozen=True)
class Table:
    """A table: its caption, its columns' headings, and its rows, whose first cell is a heading."""

    caption: str
    columns: list[str]
    rows: list[list[str]]


@dataclass
class Measures:
    """What was measured: the charts, and the tables that say more than they do."""

    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


def measures(data: dict[str, Any], language: Language) -> Measures:
    """The charts and tables of a result; a part that was not measured has none."""
    made = Measures()
    for part in (_products, _all_products, _bandwidth, _course, _sustained, _numbers, _training, _memory):
        part(made, data, language)
    return made


def largest(framework: dict[str, Any]) -> list[dict[str, Any]]:
    """The largest product of each kind of number, in the order of DTYPES."""
    best: dict[str, dict[str, Any]] = {}
    for one in framework["matmul"]:
        if one["dtype"] not in best or one["n"] > best[one["dtype"]]["n"]:
            best[one["dtype"]] = one
    return [best[dtype] for dtype in DTYPES if dtype in best]


def _products(made: Measures, data: dict[str, Any], language: Language) -> None:
    rows = [(name, one) for name, framework in data["frameworks"].items() for one in largest(framework)]
    if not rows:
        return
    bars = [
        charts.Bar(
            label=f"{framework(name)} {DTYPES[one['dtype']]}",
            value=one["tflops"],
            low=one["tflops_low"],
            high=one["tflops_high"],
            text=_with_share(language.number(one["tflops"]), one["share"], language),
            kind=DTYPES[one["dtype"]],
        )
        for name, one in rows
    ]
    yardstick = {
        "chip": language.gettext("Percentages: share of the chip's theoretical peak."),
        "blas": language.gettext("Percentages: share of the fastest library on this machine's CPU, in the same run."),
    }.get(data["yardstick"] or "", "")
    said = "; ".join(f"{bar.label} {bar.text}" for bar in bars)
    picture = charts.bars(
        bars,
        alternative=language.gettext("Bar chart of TFLOPS. %(values)s.", values=said),
        axis=language.gettext("TFLOPS, with quartiles"),
        number=language.short,
    )
    caption = language.gettext("Speed of the largest product of each kind of number")
    made.figures.append(Figure(picture, caption, yardstick))


def _all_products(made: Measures, data: dict[str, Any], language: Language) -> None:
    rows = [
        [
            name,
            DTYPES[one["dtype"]],
            str(one["n"]),
            language.number(one["tflops"]),
            language.span(one["tflops_low"], one["tflops_high"]),
            language.gettext("noisy") if one["noisy"] else language.gettext("calm"),
            language.percent(one["share"]) if one["share"] is not None else _NONE,
            f"{language.number(one['first_s'])} s",
        ]
        for name, products in _each(data, "matmul")
        for one in products
    ]
    if rows:
        columns = [
            language.gettext("Framework"),
            language.gettext("Numbers"),
            "n",
            "TFLOPS",
            language.gettext("Quartiles"),
            language.gettext("Spread"),
            language.gettext("Share"),
            language.gettext("First call"),
        ]
        made.tables.append(Table(language.gettext("Every product that was timed"), columns, rows))


def _with_share(text: str, share: float | None, language: Language) -> str:
    return text if share is None else f"{text} · {language.percent(share)}"


def _each(data: dict[str, Any], part: str) -> list[tuple[str, Any]]:
    """The frameworks that have a part, with it."""
    return [(framework(name), one[part]) for name, one in data["frameworks"].items() if one[part]]


def _bandwidth(made: Measures, data: dict[str, Any], language: Language) -> None:
    rows = [
        [
            name,
            f"{language.number(one['gb_s'])} GB/s",
            language.span(one["gb_s_low"], one["gb_s_high"]),
            language.percent(one["share"]) if one["share"] is not None else _NONE,
        ]
        for name, one in _each(data, "bandwidth")
    ]
    if rows:
        columns = [
            language.gettext("Framework"),
            language.gettext("Bandwidth"),
            language.gettext("Quartiles"),
            language.gettext("Share"),
        ]
        made.tables.append(Table(language.gettext("Memory bandwidth"), columns, rows))


def _course(made: Measures, data: dict[str, Any], language: Language) -> None:
    rows = [
        [name, str(one["n"]), f"{language.number(one['seconds'])} s", language.number(one["honest_tflops"])]
        for name, one in _each(data, "course")
    ]
    if rows:
        columns = [language.gettext("Framework"), "n", language.gettext("Time of one product"), "TFLOPS"]
        made.tables.append(Table(language.gettext("The course's one-second test, honestly timed"), columns, rows))


def _sustained(made: Measures, data: dict[str, Any], language: Language) -> None:
    found = [(name, one) for name, one in _each(data, "sustained") if len(one["tflops"]) > 1]
    if not found:
        return
    rows = [
        charts.Line(
            label=f"{name}, {language.percent(one['ratio'])}",
            points=[((number + 1) * one["window_s"], value) for number, value in enumerate(one["tflops"])],
        )
        for name, one in found
    ]
    said = "; ".join(row.label for row in rows)
    kinds = ", ".join(sorted({DTYPES[one["dtype"]] for _, one in found}))
    picture = charts.lines(
        rows,
        alternative=language.gettext(
            "Line chart of TFLOPS over time. Speed at the end as a share of the beginning: %(values)s.", values=said
        ),
        axes=(language.gettext("seconds"), f"TFLOPS, {kinds}"),
        number=language.short,
    )
    note = language.gettext("Percentages: speed at the end as a share of the speed at the beginning.")
    made.figures.append(Figure(picture, language.gettext("Sustained speed"), note))


def _numbers(made: Measures, data: dict[str, Any], language: Language) -> None:
    rows = [
        [
            name,
            one["case"],
            DTYPES.get(one["dtype"], one["dtype"]),
            language.tiny(one["error"]) if one["error"] is not None else _NONE,
            language.tiny(one["tolerance"]) if one["tolerance"] is not None else _NONE,
            language.lookup(labels.RESULTS[one["result"]]),
        ]
        for name, cases in _each(data, "numbers")
        for one in cases
    ]
    if rows:
        columns = [
            language.gettext("Framework"),
            language.gettext("Operation"),
            language.gettext("Numbers"),
            language.gettext("Error"),
            language.gettext("Allowed"),
            language.gettext("Result"),
        ]
        made.tables.append(Table(language.gettext("Numbers against a float64 reference"), columns, rows))


def _training(made: Measures, data: dict[str, Any], language: Language) -> None:
    rows = [
        [
            name,
            language.number(one["losses"][0]),
            language.number(one["losses"][-1]),
            language.number(one["cpu_losses"][-1]) if one["cpu_losses"] else _NONE,
            str(len(one["losses"])),
        ]
        for name, one in _each(data, "training")
        if one["losses"]
    ]
    if rows:
        columns = [
            language.gettext("Framework"),
            language.gettext("Loss at the start"),
            language.gettext("Loss at the end"),
            language.gettext("At the end on the CPU"),
            language.gettext("Steps"),
        ]
        made.tables.append(Table(language.gettext("A short training run"), columns, rows))


def _memory(made: Measures, data: dict[str, Any], language: Language) -> None:
    rows = [
        [name, language.size(one["before_bytes"]), language.size(one["after_bytes"])]
        for name, one in _each(data, "memory")
    ]
    if rows:
        columns = [language.gettext("Framework"), language.gettext("Before"), language.gettext("After")]
        made.tables.append(Table(language.gettext("Memory on the device, before and after the work"), columns, rows))
