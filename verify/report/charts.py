"""Charts as static SVG: pygal draws them, the page's style sheet colours them, and no script is in them."""

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pygal
from markupsafe import Markup
from pygal.style import Style

# pygal leaves a finder for plugins that we do not use, of a kind that Python no longer knows; imports trip over it.
sys.meta_path[:] = [one for one in sys.meta_path if type(one).__module__ != pygal.__name__]

WIDTH = 380
"""Units of a chart's own coordinates: about as wide as a phone, so that its text stays readable there."""
_FONT = 13
_BAR_HEIGHT = 28
_AXIS_HEIGHT = 52
_LINE_HEIGHT = 260
_VALUES_WIDTH = 0.72
"""Of the longest bar: the room at the right in which the values stand in a column, clear of the spread."""
_LABEL = 40
# What pygal draws for its own script and style sheet, both of which are left out.
_UNUSED_TAGS = {"script", "style", "defs", "desc", "title"}
_UNUSED_CLASSES = {"background", "plot tooltip-overlay"}
_USED_CLASS = re.compile(
    r"horizontal|vertical|axis|[xy]|line|guide|nofill|value|title|legend|(fp|bf)[0-9]+|color-[0-9]+"
)
"""What style.css knows."""
# In an HTML document the element itself says that it is SVG.
_UNUSED_ATTRIBUTES = {"id", "style", "rx", "ry", "xmlns"}
_DECIMALS = re.compile(r"-?\d+\.\d+")


@dataclass(frozen=True)
class Bar:
    """A bar: what it is of, its value, the value's quartiles, what to write beside it, and its CSS class."""

    label: str
    value: float
    low: float
    high: float
    text: str
    kind: str


@dataclass(frozen=True)
class Line:
    """A line: what it is of, and its points (x, y)."""

    label: str
    points: Sequence[tuple[float, float]]


def bars(rows: Sequence[Bar], *, alternative: str, axis: str, number: Callable[[float], str]) -> Markup:
    """Horizontal bars from zero, each with its spread.

    Args:
        rows: from top to bottom; at least one, each with values above zero.
        alternative: the chart in words.
        axis: title of the axis, with the unit.
        number: writes a number on the axis.

    Returns:
        an `svg` element, all text in it escaped.
    """
    top = max(max(row.value, row.high) for row in rows)
    chart = pygal.HorizontalBar(
        **_looks(_AXIS_HEIGHT + _BAR_HEIGHT * len(rows)),
        show_legend=False,
        print_values=True,
        print_values_position="top",
        range=(0, top * (1 + _VALUES_WIDTH)),
        x_title=axis,
        value_formatter=number,
        max_scale=6,
    )
    # pygal counts from the bottom up.
    upwards = list(reversed(rows))
    chart.x_labels = [row.label for row in upwards]
    chart.add("", [_bar(row) for row in upwards])
    chart.add_xml_filter(_values_at_right)
    return _svg(chart, alternative)


def lines(rows: Sequence[Line], *, alternative: str, axes: tuple[str, str], number: Callable[[float], str]) -> Markup:
    """Lines over a common axis, from zero.

    Args:
        rows: at least one, each with at least two points.
        alternative: the chart in words.
        axes: titles of the horizontal and the vertical axis, with their units.
        number: writes a number on an axis.

    Returns:
        an `svg` element, all text in it escaped.
    """
    chart = pygal.XY(
        **_looks(_LINE_HEIGHT),
        legend_at_bottom=True,
        legend_at_bottom_columns=2,
        # pygal keeps room for one row less than it needs.
        margin_bottom=24,
        show_dots=False,
        range=(0, max(y for row in rows for _, y in row.points) * 1.1),
        x_title=axes[0],
        y_title=axes[1],
        value_formatter=number,
        x_value_formatter=number,
        max_scale=6,
        truncate_legend=_LABEL,
    )
    for row in rows:
        chart.add(row.label, list(row.points))
    chart.add_xml_filter(_legend_of_lines)
    return _svg(chart, alternative)


def _looks(height: int) -> dict[str, Any]:
    sizes = {f"{one}_font_size": _FONT for one in ("label", "major_label", "value", "legend", "title")}
    return {
        "width": WIDTH,
        "height": height,
        "style": Style(**sizes),
        "css": [],
        "js": [],
        "margin": 4,
        "spacing": 8,
        "no_prefix": True,
    }


def _bar(row: Bar) -> dict[str, Any]:
    return {
        "value": row.value,
        "ci": {"low": row.low, "high": row.high},
        "formatter": lambda _value: row.text,
        "node": {"class": f"rect {row.kind}"},
    }


def _values_at_right(root: Element) -> Element:
    """Move the bars' values into one column at the right edge of the plot."""
    (plot,) = (one for one in root.iter("g") if one.get("class") == "plot")
    background = plot.find("rect")
    assert background is not None
    for text in root.iter("text"):
        if text.get("class", "").split() == ["value"]:
            text.set("x", background.get("width", "0"))
    return root


def _legend_of_lines(root: Element) -> Element:
    """Show in the legend a piece of each line, with its dashes, instead of a box that differs by its colour alone."""
    for entry in root.iter("g"):
        if "legend" in entry.get("class", "").split():
            box = entry.find("rect")
            assert box is not None
            box.tag = "path"
            box.set("d", f"M{box.attrib.pop('x')} {float(box.attrib.pop('y')) + float(box.get('height', '0')) / 2} h14")
            box.set("class", box.get("class", "").replace("reactive", "line"))
            del box.attrib["width"], box.attrib["height"]
    return root


def _svg(chart: Any, alternative: str) -> Markup:
    """Draw a chart, and leave out what the page does not use: most of its size."""
    root: Element = chart.render_tree()
    _trim(root)
    root.set("role", "img")
    root.set("aria-label", alternative)
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # noqa: S704 - serialised, hence escaped


def _trim(parent: Element) -> None:
    kept: list[Element] = []
    for child in list(parent):
        # A comment's tag is no text.
        if not isinstance(child.tag, str) or child.tag in _UNUSED_TAGS or child.get("class") in _UNUSED_CLASSES:
            continue
        _trim(child)
        # A group that neither places nor names what is in it.
        bare = child.tag == "g" and not child.attrib
        kept += list(child) if bare else [child]
    parent[:] = kept
    classes = " ".join(one for one in parent.get("class", "").split() if _USED_CLASS.fullmatch(one))
    shown = {**parent.attrib, "class": classes}
    parent.attrib.clear()
    # A tenth of a unit is finer than any screen.
    parent.attrib.update(
        {
            name: _DECIMALS.sub(_tenths, value)
            for name, value in shown.items()
            if value and name not in _UNUSED_ATTRIBUTES
        }
    )


def _tenths(found: re.Match[str]) -> str:
    return f"{float(found[0]):.1f}".removesuffix(".0")
