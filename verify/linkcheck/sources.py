"""What a requirements file asks for that comes as a wheel, and what does not and cannot be looked at.

The file's form is pip's (https://pip.pypa.io/en/stable/reference/requirements-file-format/). Projects under work
(`-e`), repositories and source archives would have to be built, and a build runs their code: they are left out, and
said to be.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from ..errors import UserError
from ..text import masked
from .packages import Target, applies

_COMMENT = re.compile(r"(?:^|\s)#.*$")
_OPTION = re.compile(r"(?P<name>--?[a-z-]+)(?:[ =]\s*(?P<value>.*))?")
_AFTER_REQUIREMENT = re.compile(r"\s--(?:hash|config-settings?|global-option|install-option)[ =]")
_MOST_FILES = 100
_FILES, _PROJECTS, _FOLDERS = ("-r", "--requirement"), ("-e", "--editable"), ("-f", "--find-links")
_CONSTRAINTS = ("-c", "--constraint")


@dataclass
class Requirements:
    """What a requirements file asks for, the files that it names included.

    Attributes:
        lines: for uv; what is named relative to a file stands there with its whole path.
        left_out: what cannot be looked at, in words, by canonical name or, where none is known, as it is written.
        without: packages that are left out whatever they are, and why.
    """

    lines: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    without: Mapping[str, str] = field(default_factory=dict)


def read(file: Path, target: Target, without: Mapping[str, str]) -> Requirements:
    """Read a requirements file.

    Args:
        file: the file.
        target: what the packages are meant for; what is not for it counts for nothing.
        without: packages that are left out too, by canonical name, and why.

    Raises:
        UserError: it, or a file that it names, cannot be read.
    """
    found = Requirements(without=without)
    _read(file.resolve(), target, found, set())
    return found


def _read(file: Path, target: Target, found: Requirements, seen: set[Path]) -> None:
    if file in seen:
        return
    seen.add(file)
    if len(seen) > _MOST_FILES:
        raise UserError(f"{file} and those that lead to it are more than {_MOST_FILES} files.")
    for line in _lines(file):
        option = _OPTION.fullmatch(line)
        if option is None:
            _add(line, file, target, found)
            continue
        name, value = option["name"], (option["value"] or "").strip()
        if name in _FILES:
            _read((file.parent / value).resolve(), target, found, seen)
        elif name in _PROJECTS:
            place, _, marker = value.partition(" ;")
            if applies(Requirement(f"x; {marker}" if marker else "x"), target):
                found.left_out[_public(place)] = f"{_public(place)} is a project that is worked on"
        elif name in (*_CONSTRAINTS, *_FOLDERS) and not urlsplit(value).scheme:
            found.lines.append(f"{name} {(file.parent / value).resolve()}")
        else:
            found.lines.append(line)


def _lines(file: Path) -> Iterator[str]:
    """The lines of a file without comments; those that go on are one."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read: {error}") from error
    for line in text.replace("\\\n", " ").splitlines():
        if plain := _COMMENT.sub("", line).strip():
            yield plain


def _add(line: str, file: Path, target: Target, found: Requirements) -> None:
    after = _AFTER_REQUIREMENT.search(line)
    wanted = line[: after.start()] if after else line
    try:
        requirement = Requirement(wanted)
    except InvalidRequirement:
        _add_place(wanted, file, found)
        return
    if not applies(requirement, target):
        return
    name = canonicalize_name(requirement.name)
    if requirement.url and (why := _not_a_wheel(requirement.url)):
        found.left_out[name] = f"{requirement.name} comes from {_public(requirement.url)}, {why}"
    elif name in found.without:
        found.left_out[name] = found.without[name]
    else:
        found.lines.append(line)


def _add_place(wanted: str, file: Path, found: Requirements) -> None:
    """What is no requirement by name: an address, a path, or nothing that pip knows, which uv tells then."""
    place = wanted.partition(";")[0].strip()
    scheme = urlsplit(place).scheme
    if why := _not_a_wheel(place):
        if scheme or place.startswith((".", "/")) or (file.parent / place).exists():
            found.left_out[_public(place)] = f"{_public(place)} is {why.removeprefix('which is ')}"
            return
    elif not scheme:
        found.lines.append(str((file.parent / place).resolve()))
        return
    found.lines.append(wanted)


def _not_a_wheel(place: str) -> str:
    """Why what lies at a place cannot be looked at; empty where it is a wheel."""
    parts = urlsplit(place)
    if "+" in parts.scheme:
        return "which is a repository"
    return "" if parts.path.endswith(".whl") else "which is no wheel"


def _public(place: str) -> str:
    """An address without what may be a password."""
    return masked(place).replace("***@", "")
