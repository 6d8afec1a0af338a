"""The releases of macOS: which there are, and what a span of them is called."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

_DATA = Path(__file__).with_suffix(".yml")

Version = tuple[int, int, int]

NEURAL: Version = (26, 2, 0)
"""The first that lets programs use a GPU's neural accelerators (mlx/backend/metal/device.cpp, is_nax_available)."""


@dataclass(frozen=True)
class Release:
    """The first release of a macOS: its version, and the newest AIR and Metal language that it loads."""

    version: Version
    air: tuple[int, int]
    metal: tuple[int, int]


@functools.cache
def releases() -> tuple[Release, ...]:
    """Each macOS, oldest first."""
    data = yaml.safe_load(_DATA.read_text(encoding="utf-8"))["releases"]
    return tuple(
        Release(parse_version(one["macos"]), parse_version(one["air"])[:2], parse_version(one["metal"])[:2])
        for one in data
    )


def served(floor: Version) -> tuple[Version, ...]:
    """The floor and the first release of each newer macOS.

    Macs of one major version take the same wheels: the tags of pip and uv know no minor ones (packaging.tags,
    mac_platforms).
    """
    return (floor, *(one.version for one in releases() if one.version[0] > floor[0]))


def other_wheel(named: Iterable[int], offered: Iterable[int], macos: int) -> int:
    """The macOS whose wheel of a package a Mac would take now, where the one that it has is for another; else 0.

    All are the numbers before the dot.

    Args:
        named: the releases that the installed wheel names; none where it is for all.
        offered: the releases that have wheels of their own.
        macos: the Mac's.
    """
    installed, best = set(named), max((one for one in offered if one <= macos), default=0)
    return 0 if not installed or best in installed else best


def spans(chosen: Iterable[Version], known: Iterable[Version]) -> str:
    """Name the releases that begin at the chosen versions: "14.4 to 15 and 26.2 to 27".

    Args:
        chosen: some of the known versions. Each stands for itself and all that come before the next known one.
        known: all versions that are told apart.
    """
    wanted, order = set(chosen), sorted(known)
    named: list[str] = []
    first: Version | None = None
    for version, following in zip(order, [*order[1:], None], strict=True):
        if version not in wanted:
            continue
        if first is None:
            first = version
        if following is None or following not in wanted:
            named.append(_span(first, version, following))
            first = None
    return " and ".join(named)


def _span(first: Version, last: Version, following: Version | None) -> str:
    """Name the releases from one version to all that the last one stands for."""
    to_end = following is None or following[0] > last[0]
    begins = show_version(first)
    if first[1:] == (0, 0) and (to_end or first[0] < last[0]):
        begins = str(first[0])
    if to_end:
        if first[0] < last[0]:
            return f"{begins} to {last[0]}"
        return begins if first[1:] == (0, 0) else f"{begins} to {last[0]}.x"
    assert following is not None
    if following[2] or not following[1]:
        return f"{begins} to before {show_version(following)}"
    ends = f"{following[0]}.{following[1] - 1}"
    if begins == ends:
        return begins
    return f"{begins} {'and' if first[:2] == (following[0], following[1] - 2) else 'to'} {ends}"


def parse_version(text: str) -> Version:
    """Read a version such as 14.4 or 14.4.1."""
    parts = [int(part) for part in text.split(".")]
    major, minor, patch = [*parts, 0, 0][:3]
    return major, minor, patch


def show_version(version: Version) -> str:
    """Write a version as Apple does: 14.4, 14.4.1."""
    return ".".join(str(part) for part in (version if version[2] else version[:2]))
