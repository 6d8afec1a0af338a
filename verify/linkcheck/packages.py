"""What the installed packages say of themselves, and whether the files agree.

Formats: RECORD, WHEEL and METADATA as in the PyPA's binary distribution format and core metadata specifications,
entry points as in its entry points specification.
"""

import base64
import configparser
import csv
import math
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from email import message_from_string

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms, parse_tag
from packaging.utils import canonicalize_name
from packaging.version import Version

from ..macos import Version as MacOS
from ..macos import show_version
from . import macho
from .findings import Counts, Finding
from .limits import ExceededError, reading
from .tree import Tree

_AT_ONCE = 2
_MAX_TEXT = 4 << 20
"""Bytes of METADATA, WHEEL and entry_points.txt."""
_MAX_RECORD, _MAX_ROWS = 64 << 20, 300_000
"""Bytes and lines of RECORD; TensorFlow's has 1.5 MB and 13,000 lines."""
_MAX_LINE = 16_384
"""Characters of a requirement or a line of entry_points.txt: what reads them looks at each more than once."""
MAX_TAGS = 1024
"""That one `Tag` stands for; the longest known one stands for 12."""
_OURS = {".lock"}
"""What uv itself leaves at the top of the folder."""
_MAX_SOURCE = 4 << 20
_MACOS_TAG = re.compile(r"macosx_([0-9]{1,3})_[0-9]+_(?:arm64|universal2)")
_EXTENSION_MODULE = re.compile(r"\.(?P<tag>[^./]+)\.so$")


@dataclass(frozen=True, slots=True)
class Row:
    """A line of RECORD: a path as written, and the SHA-256 (hexadecimal) and size in bytes where they stand there."""

    path: str
    sha256: str | None
    size: int | None


@dataclass(frozen=True)
class Package:
    """An installed distribution.

    Attributes:
        name: canonical name.
        version: as it states it.
        info: its .dist-info folder.
        rows: the files that it says it has.
        tags: wheel tags.
        requires: declared requirements.
        entry_points: (group, name, object reference).
    """

    name: str
    version: str
    info: str
    rows: tuple[Row, ...]
    tags: frozenset[Tag]
    requires: tuple[Requirement, ...]
    entry_points: tuple[tuple[str, str, str], ...]

    @property
    def macos(self) -> int:
        """The newest macOS that the wheel names for arm64, the number before the dot; 0 where it names none."""
        named = (_MACOS_TAG.fullmatch(tag.platform) for tag in self.tags)
        return max((int(one[1]) for one in named if one), default=0)


@dataclass(frozen=True)
class Target:
    """What the packages are meant for.

    Attributes:
        python: Python's minor version, for example 3.11.
        floor: oldest macOS.
        pjrt_compatibility: whether ENABLE_PJRT_COMPATIBILITY is set in the environment.
        later: the first releases of newer macOS that take the same wheels.
    """

    python: str
    floor: MacOS
    pjrt_compatibility: bool
    later: tuple[MacOS, ...] = ()

    def points(self, needed: Iterable[MacOS]) -> tuple[MacOS, ...]:
        """The releases at which something changes: the target's own, and those from which on a file is made for them.

        Args:
            needed: the oldest macOS of each file.
        """
        starts = (self.floor, *self.later)
        own = {version for version in needed if any(one[0] == version[0] and one < version for one in starts)}
        return tuple(sorted({*starts, *own}))

    @property
    def tags(self) -> list[Tag]:
        """The wheel tags that fit on the oldest macOS, the best first."""
        version = tuple(int(part) for part in self.python.split("."))
        platforms = list(mac_platforms((self.floor[0], self.floor[1]), "arm64"))
        interpreter = f"cp{version[0]}{version[1]}"
        return [*cpython_tags(version, platforms=platforms), *compatible_tags(version, interpreter, platforms)]

    @property
    def markers(self) -> dict[str, str]:
        """Values of environment markers."""
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.99",
            "os_name": "posix",
            "platform_machine": "arm64",
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Darwin",
            "platform_version": "",
            "python_full_version": f"{self.python}.99",
            "python_version": self.python,
            "sys_platform": "darwin",
            "extra": "",
        }


def read_all(tree: Tree) -> tuple[list[Package], list[Finding]]:
    """Read the metadata of every package of a tree, in name order."""
    packages: list[Package] = []
    findings: list[Finding] = []
    for path in sorted(tree.files):
        info, _, name = path.rpartition("/")
        if name == "METADATA" and info.endswith(".dist-info") and "/" not in info:
            try:
                with reading(info):
                    packages.append(_read(tree, info))
            except ExceededError as error:
                findings.append(Finding("damaged", info, f"The package's metadata cannot be read: {error}."))
            except (ValueError, OSError, csv.Error, configparser.Error) as error:
                findings.append(Finding("metadata", info, f"The package's metadata cannot be read: {error}."))
    return packages, findings


def _read(tree: Tree, info: str) -> Package:
    metadata = message_from_string(_text(tree, f"{info}/METADATA"))
    wheel = message_from_string(_text(tree, f"{info}/WHEEL")) if f"{info}/WHEEL" in tree.files else None
    name, version = metadata["Name"], metadata["Version"]
    if not name or not version:
        raise ValueError("METADATA states no name or no version")
    points: list[tuple[str, str, str]] = []
    if f"{info}/entry_points.txt" in tree.files:
        text = _text(tree, f"{info}/entry_points.txt")
        if (longest := max(map(len, text.splitlines()), default=0)) > _MAX_LINE:
            raise ValueError(f"entry_points.txt has a line of {longest} characters")
        parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
        parser.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
        parser.read_string(text)
        points = [(group, key, value) for group in parser.sections() for key, value in parser.items(group)]
    return Package(
        name=canonicalize_name(name),
        version=version,
        info=info,
        rows=tuple(_rows(tree, info)),
        tags=frozenset(tag for line in (wheel.get_all("Tag", []) if wheel else []) for tag in _tags(line.strip())),
        requires=tuple(_requirement(line) for line in metadata.get_all("Requires-Dist", [])),
        entry_points=tuple(points),
    )


def _tags(text: str) -> frozenset[Tag]:
    """The tags that a compressed one stands for."""
    number = math.prod(part.count(".") + 1 for part in text.split("-"))
    if number > MAX_TAGS:
        raise ValueError(f"WHEEL has a tag that stands for {number} tags")
    return parse_tag(text)


def _requirement(line: str) -> Requirement:
    if len(line) > _MAX_LINE:
        raise ValueError(f"METADATA has a requirement of {len(line)} characters")
    try:
        return Requirement(line)
    except InvalidRequirement as error:
        raise ValueError(f"METADATA has the requirement {line!r}") from error


def _rows(tree: Tree, info: str) -> Iterator[Row]:
    if f"{info}/RECORD" not in tree.files:
        raise ValueError("RECORD is missing")
    for number, row in enumerate(csv.reader(_text(tree, f"{info}/RECORD", _MAX_RECORD).splitlines())):
        if number >= _MAX_ROWS:
            raise ValueError(f"RECORD has more than {_MAX_ROWS} lines")
        if not row:
            continue
        path, digest, size = (*row, "", "")[:3]
        yield Row(path, _hex(digest), int(size) if size.isdecimal() else None)


def _hex(digest: str) -> str | None:
    algorithm, _, encoded = digest.partition("=")
    if algorithm != "sha256":
        return None
    return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).hex()


def _text(tree: Tree, path: str, most: int = _MAX_TEXT) -> str:
    if tree.files[path] > most:
        raise ValueError(f"{path} has {tree.files[path]} bytes, which is more than the {most} that are looked into")
    return (tree.root / path).read_text(encoding="utf-8", errors="replace")


def owners(tree: Tree, packages: Iterable[Package]) -> tuple[dict[str, str], list[Finding]]:
    """Which package has which file, and the files that more than one has, or none.

    Returns:
        Package name by path, and the findings.
    """
    found: dict[str, str] = {}
    shared: dict[tuple[str, str], list[str]] = {}
    findings: list[Finding] = []
    for package in packages:
        for row in package.rows:
            if row.path.startswith("/") or ".." in row.path.split("/"):
                findings.append(
                    Finding(
                        "leaves-folder",
                        row.path,
                        f"RECORD of {package.name} has a path outside the environment.",
                    )
                )
            elif found.setdefault(row.path, package.name) != package.name:
                shared.setdefault((found[row.path], package.name), []).append(row.path)
    for (first, second), paths in shared.items():
        findings.append(
            Finding(
                "two-owners",
                f"{first}+{second}",
                f"{len(paths)} file(s) belong to both {first} and {second}: the one installed last wins, and removing "
                "either breaks the other.",
                details=tuple(sorted(paths)),
            )
        )
    unowned = sorted(path for path in tree.files if path not in found and path not in _OURS)
    if unowned:
        findings.append(
            Finding(
                "no-owner",
                "files",
                f"{len(unowned)} file(s) are in no package's RECORD.",
                details=tuple(unowned),
            )
        )
    return found, findings


def check_files(tree: Tree, packages: Iterable[Package], counts: Counts) -> Iterator[Finding]:
    """Compare every file with the size and hash that its package states."""
    waiting: list[tuple[Package, Row]] = []
    for package in packages:
        wrong: list[str] = []
        for row in package.rows:
            if row.path not in tree.files:
                if not row.path.startswith("/") and ".." not in row.path.split("/"):
                    wrong.append(f"{row.path}: missing")
            elif row.size is not None and row.size != tree.files[row.path]:
                wrong.append(f"{row.path}: {tree.files[row.path]} bytes, RECORD says {row.size}")
            elif row.sha256 is not None:
                if tree.files[row.path] > macho.MAX_FILE:
                    wrong.append(f"{row.path}: {tree.files[row.path]} bytes are more than are looked into")
                else:
                    waiting.append((package, row))
        if wrong:
            yield _record_lies(package, wrong)
    counts.hashed += len(waiting)
    different: dict[str, list[str]] = {}
    by_name = {package.name: package for package, _ in waiting}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(
            pool.map(tree.read_digests, ([row.path for _, row in waiting[part::_AT_ONCE]] for part in range(_AT_ONCE)))
        )
    for package, row in waiting:
        if tree.digest(row.path) != row.sha256:
            different.setdefault(package.name, []).append(f"{row.path}: another hash than in RECORD")
    for name, paths in different.items():
        yield _record_lies(by_name[name], paths)


def _record_lies(package: Package, details: list[str]) -> Finding:
    return Finding(
        "record",
        package.name,
        f"{len(details)} file(s) of {package.name} {package.version} are not what its RECORD says.",
        details=tuple(details),
    )


def check_tags(packages: Iterable[Package], target: Target, points: Iterable[MacOS]) -> Iterator[Finding]:
    """Wheels for another Python, another platform or a newer macOS than those of a target.

    Args:
        packages: the installed ones.
        target: what they are meant for.
        points: its releases that are told apart.
    """
    starts = [(start, frozenset(replace(target, floor=start).tags)) for start in (target.floor, *target.later)]
    for package in packages:
        first = next((start for start, fitting in starts if package.tags & fitting), None)
        if package.tags and first != target.floor:
            tags = ", ".join(sorted(map(str, package.tags)))
            yield Finding(
                "wheel-tag",
                package.name,
                f"{package.name} {package.version} is a wheel for {tags}; needed is one for CPython {target.python} "
                f"on arm64 and macOS {show_version(target.floor)} or older.",
                releases=tuple(show_version(one) for one in points if first is None or one < first),
            )


def check_requirements(packages: Iterable[Package], target: Target) -> Iterator[Finding]:
    """Declared requirements that the installed packages do not satisfy."""
    installed = {package.name: package for package in packages}
    for package in installed.values():
        for requirement in package.requires:
            if not applies(requirement, target):
                continue
            name = canonicalize_name(requirement.name)
            found = installed.get(name)
            if found is None:
                yield Finding(
                    "requirement",
                    f"{package.name}>{name}",
                    f"{package.name} {package.version} needs {_plain(requirement)}, which is not installed.",
                )
            elif not _satisfies(found.version, requirement):
                yield Finding(
                    "requirement",
                    f"{package.name}>{name}",
                    f"{package.name} {package.version} needs {_plain(requirement)}, installed is {found.version}.",
                )


def applies(requirement: Requirement, target: Target) -> bool:
    """Whether a requirement is one on a target, by its marker."""
    try:
        return requirement.marker is None or requirement.marker.evaluate(dict(target.markers))
    except (UndefinedEnvironmentName, UndefinedComparison, ValueError):  # or a number of too many digits
        return False


def _satisfies(version: str, requirement: Requirement) -> bool:
    try:
        return requirement.specifier.contains(Version(version), prereleases=True)
    except ValueError:  # a version that is none, or a number of more digits than Python converts
        return False


def _plain(requirement: Requirement) -> str:
    return f"{requirement.name}{requirement.specifier}"


def module_of(path: str, python: str) -> str | None:
    """The dotted name under which Python imports an extension module, None where the file name is not for this Python.

    CPython looks for `.cpython-311-darwin.so`, `.abi3.so` and `.so`, in this order (Python/dynload_shlib.c).

    Args:
        path: path below the folder.
        python: minor version, for example 3.11.
    """
    if not path.endswith(".so"):
        return None
    found = _EXTENSION_MODULE.search(path)
    suffix = found.group(0) if found else ".so"
    if suffix not in (f".cpython-{python.replace('.', '')}-darwin.so", ".abi3.so", ".so"):
        return None
    return path.removesuffix(suffix).replace("/", ".")


def for_another_python(path: str, python: str) -> bool:
    """Whether a file is an extension module that this Python never imports."""
    found = _EXTENSION_MODULE.search(path)
    return bool(found and found["tag"].startswith("cpython-") and module_of(path, python) is None)


def uses(tree: Tree, package: Package, others: Iterable[Package]) -> list[str]:
    """Names of the other packages that a package declares as requirements, or whose modules its Python code imports."""
    declared = {canonicalize_name(one.name) for one in package.requires}
    imported: set[bytes] = set()
    for row in package.rows:
        if row.path.endswith(".py") and 0 < tree.files.get(row.path, 0) <= _MAX_SOURCE:
            imported.update(tree.imports(row.path))
    found = []
    for other in others:
        modules = {row.path.split("/")[0].removesuffix(".py").encode() for row in other.rows}
        if other.name != package.name and (other.name in declared or modules & imported):
            found.append(other.name)
    return sorted(found)
