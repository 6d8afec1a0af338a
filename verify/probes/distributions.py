"""The distributions installed in an environment, and whether each is whole.

Whole is what "Recording installed projects" (packaging.python.org) asks for: METADATA of that name and version, and a
RECORD that lists every file. Standard library only, Python 3.8+: this file is also what the Ansible module
`environment_packages` goes by (a link among its module_utils), so that converging and verifying mean the same.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path

_DIST_INFO = re.compile(r"(?P<name>.+)-(?P<version>[^-]+)\.dist-info")
_UNCOUNTED = (".pyc", ".dist-info/RECORD", ".dist-info/RECORD.jws", ".dist-info/RECORD.p7s")
"""Listed without size and hash: what Python compiles whenever it likes, and RECORD itself with its signatures."""
_SIZE = re.compile(r"[0-9]{0,18}")
_COLUMNS = 3
_CHUNK = 1 << 20
_MACOS_TAG = re.compile(
    r"^Tag: *[^-\s]+-[^-\s]+-macosx_([0-9]{1,3})_([0-9]{1,3})_(?:arm64|universal2)\s*$", re.MULTILINE
)
_LONGEST_WHEEL, _MOST_TAGS = 1 << 16, 20
_LONG_PATH = 1024
_LENGTH = 300
"""Of what is said of a problem, at most: a damaged RECORD may list anything."""


@dataclass(frozen=True)
class Distribution:
    """A folder NAME-VERSION.dist-info, or what stands in its place.

    Attributes:
        name: canonical.
        version: as the folder says.
        folder: its path.
    """

    name: str
    version: str
    folder: Path


@dataclass
class Findings:
    """What an inspection found.

    Attributes:
        files: how many were compared.
        problems: path, relative to site-packages, to what is wrong with it in words that follow the path.
        altered: how many of the problems are seen only where files are read.
        unrecorded: RECORD cannot be gone by, so nobody can uninstall what it should list.
    """

    files: int = 0
    problems: dict[str, str] = field(default_factory=dict)
    altered: int = 0
    unrecorded: bool = False

    def lines(self) -> list[str]:
        """The problems in words."""
        return [
            ((path if path.isprintable() else ascii(path)) + " " + what)[:_LENGTH]
            for path, what in self.problems.items()
        ]


class _WrongError(Exception):
    """A file is not as it should be; the message follows its path."""

    def __init__(self, message: str, altered: bool = False) -> None:
        super().__init__(message)
        self.altered = altered


def canonical(name: str) -> str:
    """A distribution's canonical name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed(site: Path) -> list[Distribution]:
    """All that a site-packages folder claims to have, whole or not, in the order of their folders' names."""
    matches = [_DIST_INFO.fullmatch(entry) for entry in sorted(os.listdir(site))]
    return [Distribution(canonical(one["name"]), one["version"], site / one[0]) for one in matches if one]


def macos_tags(one: Distribution) -> list[str]:
    """The macOS releases that a distribution's wheel names, as its WHEEL says: "14.0" of macosx_14_0_arm64.

    A wheel for every release names none, and neither does what is no wheel.
    """
    try:
        with open(one.folder / "WHEEL", encoding="utf-8", errors="replace") as file:
            text = file.read(_LONGEST_WHEEL)
    except OSError:
        return []
    return sorted({found[1] + "." + found[2] for found in _MACOS_TAG.finditer(text)})[:_MOST_TAGS]


class Inspector:
    """Looks whether distributions are whole.

    Args:
        prefix: the environment's folder.
        site: its site-packages.
        content: whether files are also read and compared with their hashes.
    """

    def __init__(self, prefix: Path, site: Path, content: bool) -> None:
        self._prefix = os.path.join(os.path.realpath(prefix), "")
        self._site = os.path.realpath(site)
        self._content = content
        self._folders: dict[str, bool] = {}

    def inspect(self, one: Distribution) -> Findings:
        """What is wrong with a distribution."""
        found = Findings()
        own = one.folder.name
        if os.path.islink(one.folder) or not os.path.isdir(one.folder):
            return Findings(problems={own: "is not a folder"}, unrecorded=True)
        rows: list[list[str]] = []
        try:
            rows = self._rows(own)
        except _WrongError as error:
            found.unrecorded = True
            _note(found, own + "/RECORD", error)
        try:
            self._describes(own + "/METADATA", one)
        except _WrongError as error:
            _note(found, own + "/METADATA", error)
        for path, digest, size in rows:
            if path.endswith(_UNCOUNTED) or path in found.problems:
                continue
            found.files += 1
            try:
                self._compare(path, digest, size)
            except _WrongError as error:
                _note(found, path, error)
        return found

    def _rows(self, own: str) -> list[list[str]]:
        """What RECORD lists: path, hash, size."""
        try:
            text = self._read(own + "/RECORD").decode("utf-8")
            if "\0" in text:
                raise _WrongError("is not text")
            rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
        except UnicodeDecodeError as error:
            raise _WrongError("is not text") from error
        except csv.Error as error:
            raise _WrongError("is not CSV: " + str(error)) from error
        if not rows:
            raise _WrongError("is empty")
        if any(len(row) != _COLUMNS for row in rows):
            raise _WrongError("is not CSV with path, hash and size in each row")
        for path, _, size in rows:
            if not _SIZE.fullmatch(size):
                raise _WrongError("gives " + ascii(path) + " a size that is no number")
        listed = {row[0] for row in rows}
        if own + "/RECORD" not in listed:
            raise _WrongError("does not list itself")
        if own + "/METADATA" not in listed:
            raise _WrongError("does not list METADATA")
        return rows

    def _compare(self, path: str, digest: str, size: str) -> None:
        actual = self._size(path)
        if not size or not digest:
            raise _WrongError("has no " + ("hash" if size else "size") + " in RECORD")
        if actual != int(size):
            raise _WrongError("has " + str(actual) + " bytes instead of " + size)
        if self._content:
            self._compare_content(path, digest)

    def _compare_content(self, path: str, digest: str) -> None:
        algorithm, _, wanted = digest.partition("=")
        try:
            hashed = hashlib.new(algorithm)
        except ValueError:
            hashed = None
        # Those of any length do not say how long it is in RECORD.
        if hashed is None or not hashed.digest_size:
            raise _WrongError("has a hash in RECORD that cannot be computed: " + ascii(algorithm), altered=True)
        try:
            with open(os.path.join(self._site, path), "rb", buffering=0) as file:
                for chunk in iter(lambda: file.read(_CHUNK), b""):
                    hashed.update(chunk)
        except OSError as error:
            raise _WrongError("cannot be read: " + str(error.strerror), altered=True) from error
        if base64.urlsafe_b64encode(hashed.digest()).decode().rstrip("=") != wanted.rstrip("="):
            raise _WrongError("has other content than its " + algorithm + " in RECORD", altered=True)

    def _describes(self, path: str, one: Distribution) -> None:
        head = self._read(path).decode("utf-8", "replace").replace("\r\n", "\n").partition("\n\n")[0]
        said = dict(re.findall(r"^(Name|Version):[ \t]*(.*?)[ \t]*$", head, re.MULTILINE))
        if len(said) != 2:  # noqa: PLR2004 - both of them
            raise _WrongError("does not name a package and its version")
        if canonical(said["Name"]) != one.name or _numbers(said["Version"]) != _numbers(one.version):
            raise _WrongError("is of " + ascii(said["Name"] + " " + said["Version"]))

    def _read(self, path: str) -> bytes:
        self._size(path)
        try:
            with open(os.path.join(self._site, path), "rb") as file:
                return file.read()
        except OSError as error:
            raise _WrongError("cannot be read: " + str(error.strerror)) from error

    def _size(self, path: str) -> int:
        """A listed file's size; it must be a regular file of this environment."""
        # In place of os.path.join and dirname, which take as long as lstat.
        full = path if path.startswith("/") else self._site + "/" + path
        if not self._has(full.rpartition("/")[0]):
            raise self._outside(full)
        try:
            seen = os.lstat(full)
            if stat.S_ISLNK(seen.st_mode):
                if not self._is_inside(full):
                    raise self._outside(full)
                seen = os.stat(full)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise _WrongError("is missing") from error
        except OSError as error:
            raise _WrongError("cannot be read: " + str(error.strerror)) from error
        if not stat.S_ISREG(seen.st_mode):
            raise _WrongError("is not a regular file")
        return seen.st_size

    def _has(self, folder: str) -> bool:
        """Whether a folder is in the environment; to resolve the links of each would take as long as all the rest."""
        known = self._folders.get(folder)
        if known is None:
            parent, name = os.path.split(folder)
            # Each level of the path is a call: none is deeper than Python's stack.
            plain = name not in ("", ".", "..") and len(folder) < _LONG_PATH
            step = plain and self._has(parent) and not os.path.islink(folder)
            known = self._folders[folder] = step or self._is_inside(folder)
        return known

    def _is_inside(self, path: str) -> bool:
        return os.path.join(os.path.realpath(path), "").startswith(self._prefix)

    def _outside(self, full: str) -> _WrongError:
        """Why a path that is not in the environment is not: a link on its way, or already its name."""
        normal = Path(os.path.normpath(full))
        for place in [*reversed(normal.parents), normal]:
            if str(place).startswith(self._prefix) and os.path.islink(place) and not self._is_inside(str(place)):
                return _WrongError("is behind a link that leads out of the environment: " + str(place))
        return _WrongError("lies outside of the environment")


def _note(found: Findings, path: str, error: _WrongError) -> None:
    found.problems[path] = str(error)
    found.altered += error.altered


def _numbers(version: str) -> list[str]:
    """A version without what is only spelling: 2026.01 is 2026.1, and 1.0-rc1 is 1.0rc1."""
    return [part.lstrip("0") or "0" for part in re.findall(r"[0-9]+|[a-z]+", version.lower())]
