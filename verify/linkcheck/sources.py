"""What a requirements file asks for that comes as a wheel, and what does not and cannot be looked at.

The file's form is pip's (https://pip.pypa.io/en/stable/reference/requirements-file-format/). Projects under work
(`-e`), repositories and source archives would have to be built, and a build runs their code: they are left out, and
said to be.
"""

import os
import re
import tomllib
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from .. import regular
from ..errors import UserError
from ..text import masked
from .packages import Target, applies

_COMMENT = re.compile(r"(?:^|\s)#.*$")
_WHOLE_COMMENT = re.compile(r"^[ \t]*#.*$", re.MULTILINE)
_QUOTED = re.compile(r"^([\"'])(.*)\1$")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_MARKER = re.compile(r"\s+;|;\s+")
_EXTRAS = re.compile(r"(?P<place>.*?)(?P<extras>\[[\w\s,.-]*\])?")
_OPTION = re.compile(r"(?P<name>--?[a-z-]+)(?:[ =]\s*(?P<value>.*))?")
_AFTER_REQUIREMENT = re.compile(r"\s--(?:hash|config-settings?|global-option|install-option)[ =]")
_MOST_FILES, _MOST_BYTES = 100, 16 << 20
_FILES, _PROJECTS, _FOLDERS = ("-r", "--requirement"), ("-e", "--editable"), ("-f", "--find-links")
_CONSTRAINTS = ("-c", "--constraint")
_BUILDS = ("--no-binary", "--only-binary")
"""What would have uv build, and run, what is no wheel: a file's word goes before that of the command."""
_NAME = re.compile(r"#(?:.*&)?egg=([A-Za-z0-9][\w.-]*)")


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
    try:
        _read(file.resolve(), target, found, set())
    except (ValueError, OSError, RecursionError) as error:
        raise UserError(f"{file} cannot be read: {str(error).splitlines()[0]}") from error
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
        name, value = option["name"], _expanded(_QUOTED.sub(r"\2", (option["value"] or "").strip()))
        if name in _BUILDS:
            continue
        if name in _FILES and urlsplit(value).scheme:
            raise UserError(f"{file} names {_public(value)}, which is not here. Fetch it, and name the copy.")
        if name in _FILES:
            _read((file.parent / value).resolve(), target, found, seen)
        elif name in _PROJECTS:
            place, marker = _split(value)
            if _is_for(marker, target):
                found.left_out[_name_of(place, file)] = f"{_public(place)} is a project that is worked on"
        elif name in (*_CONSTRAINTS, *_FOLDERS) and not urlsplit(value).scheme:
            found.lines.append(f"{name} {(file.parent / value).resolve()}")
        else:
            found.lines.append(line)


def _lines(file: Path) -> Iterator[str]:
    """The lines of a file without comments; those that go on are one."""
    try:
        data = regular.content(file, _MOST_BYTES)
        text = data.decode("utf-16" if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig")
    except regular.OddFileError as error:
        raise UserError(str(error)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read: {error}") from error
    # Such a line ends where it ends, whatever its last character is.
    text = _WHOLE_COMMENT.sub("", text.replace("\r\n", "\n"))
    for line in text.replace("\\\n", " ").splitlines():
        if plain := _COMMENT.sub("", line).strip():
            yield plain


def _add(line: str, file: Path, target: Target, found: Requirements) -> None:
    after = _AFTER_REQUIREMENT.search(line)
    wanted = line[: after.start()] if after else line
    try:
        requirement = Requirement(wanted)
    except InvalidRequirement:
        _add_place(wanted, line[len(wanted) :], file, target, found)
        return
    if not applies(requirement, target):
        return
    name = canonicalize_name(requirement.name)
    if requirement.url and (unfit := _not_a_wheel(requirement.url)):
        found.left_out[name] = f"{requirement.name} comes from {_public(requirement.url)}, {unfit}"
    elif why := found.without.get(name) or found.without.get(f"{name}{requirement.specifier}"):
        found.left_out[name] = why
    else:
        found.lines.append(line)


def _add_place(wanted: str, rest: str, file: Path, target: Target, found: Requirements) -> None:
    """What is no requirement by name: an address, a path, or nothing that pip knows, which uv tells then."""
    place, marker = _split(wanted)
    parts = _EXTRAS.fullmatch(_expanded(place))
    assert parts is not None
    place, extras = parts["place"], parts["extras"] or ""
    scheme = urlsplit(place).scheme
    why = _not_a_wheel(place)
    if why and not (scheme or place.startswith((".", "/")) or _is_there(file.parent / place)):
        found.lines.append(f"{wanted}{rest}")
    elif not _is_for(marker, target):
        return
    elif why:
        found.left_out[_name_of(place, file)] = f"{_public(place)} is {why.removeprefix('which is ')}"
    else:
        found.lines.append(f"{place if scheme else (file.parent / place).resolve()}{extras}{rest}")


def _split(text: str) -> tuple[str, str]:
    """A place, and the marker that stands behind it."""
    place, *marker = _MARKER.split(text, maxsplit=1)
    return place.strip(), marker[0].strip() if marker else ""


def _is_for(marker: str, target: Target) -> bool:
    return not marker or applies(Requirement(f"x; {marker}"), target)


def _expanded(text: str) -> str:
    """Variables of the environment have their place, as in pip: those that are not set stay."""
    return _VARIABLE.sub(lambda one: os.environ.get(one[1]) or one[0], text)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _name_of(place: str, file: Path) -> str:
    """The canonical name of a project, where it is known; else its place."""
    if found := _NAME.search(place):
        return canonicalize_name(found[1])
    try:
        project = file.parent / place.partition("[")[0] / "pyproject.toml"
        return canonicalize_name(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["name"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return _public(place)


def _not_a_wheel(place: str) -> str:
    """Why what lies at a place cannot be looked at; empty where it is a wheel."""
    parts = urlsplit(place)
    if "+" in parts.scheme:
        return "which is a repository"
    return "" if parts.path.endswith(".whl") else "which is no wheel"


def _public(place: str) -> str:
    """An address without what may be a password."""
    return masked(place).replace("***@", "")
