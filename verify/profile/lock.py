"""Lock files: which version and which files (by SHA-256) of each package, and which set it belongs to.

A lock is what `uv pip compile --generate-hashes` prints, below a header of ours with two digests: one of the
inputs, so that a lock which no longer belongs to its requirements is noticed, and one of the lines below it, so
that an edited lock is refused before anything is installed from it.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from .. import ROOT
from ..errors import UserError

UV_LOCK = ROOT / "uv-tool.lock"
"""The lock of the one package that installs all others."""
SOLVER_LOCK = ROOT / "verify" / "bundle" / "solver.txt"
"""The lock of the one package that solves a conda environment for a bundle."""
RENEW = "run `.venv/bin/python -m verify lock`"
_HEADER = (
    "# Written by `python -m verify lock` from {source}. Edit those and run it again.\n"
    "# inputs sha256: {inputs}\n"
    "# content sha256: {content}\n"
)
SOURCE = "the .in files beside it"
"""What the locks of a profile are made from, as their headers name it."""
_HEADER_LINES = _HEADER.count("\n")
_PIN = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)(\[[a-z,]+\])?==(?P<version>[^\s;]+)(?: ; (?P<marker>.+?))?(?P<more> \\)?$"
)
_HASH = re.compile(r"^    --hash=sha256:(?P<hash>[0-9a-f]{64})(?P<more> \\)?$")
_VIA = re.compile(r"^    #(?: via)?\s*(?P<parent>.*)$")
_ROOT = re.compile(r"^-r (?:.*/)?(?P<file>[^/]+)$")


@dataclass(frozen=True)
class Pin:
    """One locked package.

    Attributes:
        name: canonical name (PEP 503).
        version: exact version.
        hashes: SHA-256 digests, hexadecimal, of the files that may be installed.
        parents: canonical names of the packages that need it.
        roots: requirements files that ask for it directly.
    """

    name: str
    version: str
    hashes: tuple[str, ...]
    parents: frozenset[str]
    roots: frozenset[str]

    def requirement(self) -> str:
        """The pin as lines of a requirements file, with its hashes."""
        hashes = "".join(f" \\\n    --hash=sha256:{one}" for one in self.hashes)
        return f"{self.name}=={self.version}{hashes}\n"


@dataclass(frozen=True)
class Lock:
    """A parsed lock file: its path, and the pins by canonical name."""

    path: Path
    pins: dict[str, Pin]

    def closure(self, requirements: str) -> list[Pin]:
        """The pins that a requirements file asks for, directly or through others, in name order.

        Args:
            requirements: file name, for example mlx.in.
        """
        children: dict[str, set[str]] = {}
        for pin in self.pins.values():
            for parent in pin.parents:
                children.setdefault(parent, set()).add(pin.name)
        found: set[str] = set()
        waiting = [pin.name for pin in self.pins.values() if requirements in pin.roots]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting.extend(children.get(name, ()))
        return [self.pins[name] for name in sorted(found)]

    def closures(self, requirements: Iterable[str]) -> dict[str, Pin]:
        """What several requirements files need together, by name; see `closure`."""
        return {pin.name: pin for one in requirements for pin in self.closure(one)}

    def direct(self, requirements: str) -> list[Pin]:
        """The pins that a requirements file names itself, in name order."""
        return [pin for _, pin in sorted(self.pins.items()) if requirements in pin.roots]

    @classmethod
    def read(cls, path: Path, *, inputs: bytes, source: str = SOURCE) -> "Lock":
        """Read a lock file and check that it is whole and belongs to its inputs.

        Args:
            path: the lock file.
            inputs: what the lock is resolved from, as `Profile.lock_inputs` gives it.
            source: where those stand, as its header names it.

        Raises:
            UserError: it is missing, malformed, edited or out of date; the message says which, and what to do.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise UserError(f"{path} is missing: {RENEW}") from error
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: cannot be read: {error}") from error
        header, body = _split(text)
        if header != _HEADER.format(source=source, inputs=_digest(inputs), content=_digest(body.encode())):
            if f"# content sha256: {_digest(body.encode())}\n" not in header:
                raise UserError(
                    f"{path} was changed by something other than the lock command: its lines do not have the digest "
                    f"that its header states. Restore it (git checkout), or {RENEW}."
                )
            raise UserError(f"{path} is out of date: what it is made from ({source}) has changed since. {RENEW}.")
        return cls(path, {pin.name: pin for pin in _parse(path, body)})


def render(body: str, *, inputs: bytes, source: str = SOURCE) -> str:
    """The text of a lock file: the header over the lines that uv printed."""
    return _HEADER.format(source=source, inputs=_digest(inputs), content=_digest(body.encode())) + body


def read_pins(path: Path) -> list[Pin]:
    """The pins of a lock that stands alone, without inputs beside it: the one of uv."""
    return list(_parse(path, "".join(line for line in path.open(encoding="utf-8") if not line.startswith("#"))))


def content_digest(path: Path) -> str:
    """The SHA-256 of a lock's lines, which says whether two states of it are the same."""
    return _digest(_split(path.read_text(encoding="utf-8"))[1].encode())


def _split(text: str) -> tuple[str, str]:
    lines = text.splitlines(keepends=True)
    return "".join(lines[:_HEADER_LINES]), "".join(lines[_HEADER_LINES:])


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _parse(path: Path, body: str) -> Iterator[Pin]:
    """Parse strictly: a line of an unknown form is an error, never skipped."""
    block: list[tuple[int, str]] = []
    for number, line in enumerate(body.splitlines(), start=_HEADER_LINES + 1):
        if not line.startswith(" ") and block:
            yield _pin(path, block)
            block = []
        block.append((number, line))
    if block:
        yield _pin(path, block)


def _pin(path: Path, block: list[tuple[int, str]]) -> Pin:
    first = _match(_PIN, path, *block[0])
    hashes: list[str] = []
    parents: set[str] = set()
    roots: set[str] = set()
    for number, line in block[1:]:
        if line.startswith("    --hash="):
            hashes.append(_match(_HASH, path, number, line)["hash"])
            continue
        parent = _match(_VIA, path, number, line)["parent"]
        if root := _ROOT.match(parent):
            roots.add(root["file"])
        elif parent:
            parents.add(canonicalize_name(parent))
    if not hashes:
        raise UserError(f"{path}:{block[0][0]}: {first['name']} has no hash; {RENEW}")
    return Pin(canonicalize_name(first["name"]), first["version"], tuple(hashes), frozenset(parents), frozenset(roots))


def _match(pattern: re.Pattern[str], path: Path, number: int, line: str) -> re.Match[str]:
    found = pattern.match(line)
    if found is None:
        raise UserError(f"{path}:{number}: not a line that the lock command writes: {line!r}")
    return found
