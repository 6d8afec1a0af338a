"""The laid-down files: what is there, without following anything out of the folder.

Paths below the folder are written with slashes. For dyld the folder stands at SITE, where an environment's packages
lie, so that `@loader_path/../..` means what it means on a Mac.
"""

import hashlib
import os
import re
import stat
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from . import macho, metallib
from .findings import Finding
from .limits import reading
from .linkedit import Tables
from .macho import Image, MalformedError, NoArm64Error
from .metallib import Metallib

SITE = "/env/lib/python/site-packages"
"""Where the folder stands in an imagined environment."""
PREFIX = "/env"
_MAX_LINKS = 32  # macOS: MAXSYMLINKS, <sys/param.h>
_SNIFF = 8
_IMPORT = re.compile(rb"^[ \t]*+(?:import|from)[ \t]++([A-Za-z_]\w*)", re.MULTILINE)


class OutsideError(Exception):
    """A path that leads out of the folder."""


Identity = tuple[int, int]
"""Device and inode: the same file, by whatever paths."""


@dataclass
class Known:
    """What has been read of files. uv lays wheels down as hard links, so that folders of several releases share most.

    Attributes:
        looks: what was found in a file, by its path in the tree as well.
        digests: SHA-256, hexadecimal.
        imports: modules that Python code imports.
        tables: the tables of images.
    """

    looks: dict[tuple[str, Identity], "Look"] = field(default_factory=dict)
    digests: dict[Identity, str] = field(default_factory=dict)
    imports: dict[Identity, frozenset[bytes]] = field(default_factory=dict)
    tables: Tables = field(default_factory=Tables)


@dataclass(frozen=True)
class Look:
    """What was found in a file.

    Attributes:
        image: an arm64 Mach-O image.
        refused: why dyld would not load a Mach-O file.
        metallibs: the Metal libraries in it.
        findings: what is wrong with it.
        assumption: what is taken for granted of it.
    """

    image: Image | None = None
    refused: str | None = None
    metallibs: tuple[Metallib, ...] = ()
    findings: tuple[Finding, ...] = ()
    assumption: str | None = None


@dataclass
class Tree:
    """A scanned folder.

    Attributes:
        root: the folder.
        files: size in bytes of each regular file by its path.
        links: target of each symbolic link by its path.
        images: the arm64 Mach-O images by path.
        refused: why dyld would not load a Mach-O file, by path.
        metallibs: the Metal libraries in a file, by path.
        assumptions: what is taken for granted of files.
        findings: what is wrong with the files themselves.
        known: what has been read of the files, in this folder or another.
        identities: which file each path leads to.
    """

    root: Path
    known: Known = field(default_factory=Known)
    files: dict[str, int] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    images: dict[str, Image] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    metallibs: dict[str, tuple[Metallib, ...]] = field(default_factory=dict)
    assumptions: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    identities: dict[str, Identity] = field(default_factory=dict)
    _resolved: dict[str, str | None] = field(default_factory=dict)

    @classmethod
    def scan(cls, root: Path, known: Known | None = None) -> "Tree":
        """List a folder and read the load commands of every Mach-O file in it that is not known yet."""
        tree = cls(root, known or Known())
        top = len(str(root)) + 1
        for folder, names, files in os.walk(root):
            names.sort()  # what is found comes in the same order wherever the files lie
            for name in sorted([*names, *files]):
                place = f"{folder}/{name}"
                tree._add(place, place[top:])
        tree._check_links()
        tree._check_names()
        return tree

    def _add(self, file: str, path: str) -> None:
        status = os.lstat(file)
        if stat.S_ISLNK(status.st_mode):
            self.links[path] = str(Path(file).readlink())
        elif stat.S_ISREG(status.st_mode):
            self.files[path] = status.st_size
            self.identities[path] = (status.st_dev, status.st_ino)
            self._look_into(file, path)
        elif not stat.S_ISDIR(status.st_mode):
            self.findings.append(Finding("special-file", path, "It is neither a file, a folder nor a link."))

    def _look_into(self, file: str, path: str) -> None:
        key = (path, self.identities[path])
        if key not in self.known.looks:
            self.known.looks[key] = _look_into(Path(file), path)
        found = self.known.looks[key]
        self.findings.extend(found.findings)
        if found.image is not None:
            self.images[path] = found.image
        if found.refused is not None:
            self.refused[path] = found.refused
        if found.metallibs:
            self.metallibs[path] = found.metallibs
        if found.assumption is not None:
            self.assumptions.append(found.assumption)

    def digest(self, path: str) -> str:
        """The SHA-256 of a file, hexadecimal."""
        identity = self.identities[path]
        if identity not in self.known.digests:
            with (self.root / path).open("rb") as file:
                self.known.digests[identity] = hashlib.file_digest(file, "sha256").hexdigest()
        return self.known.digests[identity]

    def read_digests(self, paths: Iterable[str]) -> None:
        """Have the SHA-256 of many files."""
        for path in paths:
            self.digest(path)

    def imports(self, path: str) -> frozenset[bytes]:
        """The modules that a file of Python code imports, by the first part of their names."""
        identity = self.identities[path]
        if identity not in self.known.imports:
            self.known.imports[identity] = frozenset(_IMPORT.findall((self.root / path).read_bytes()))
        return self.known.imports[identity]

    def is_same(self, other: "Tree") -> bool:
        """Whether another tree has the same files, by their content."""
        return (self.files, self.links) == (other.files, other.links) and all(
            identity == other.identities[path] or self.digest(path) == other.digest(path)
            for path, identity in self.identities.items()
        )

    def _check_links(self) -> None:
        for path, target in self.links.items():
            try:
                if self.resolve(f"{SITE}/{path}") is None:
                    self.findings.append(
                        Finding("dead-link", path, f"A link to {target}, which leads nowhere or in a circle.")
                    )
            except OutsideError:
                self.findings.append(Finding("leaves-folder", path, f"A link to {target}, outside the environment."))

    def _check_names(self) -> None:
        """A Mac's file system takes no notice of case, nor of how an accent is written, unless it is told to."""
        names: dict[str, list[str]] = {}
        for path in (*self.files, *self.links):
            names.setdefault(path if path.islower() and path.isascii() else _folded(path), []).append(path)
        for paths in names.values():
            if len(paths) > 1:
                self.findings.append(
                    Finding(
                        "same-name",
                        paths[0],
                        f"{len(paths)} files have a name that a Mac takes for one: the one installed last wins.",
                        details=tuple(paths),
                    )
                )

    def resolve(self, path: str) -> str | None:
        """Follow an absolute path of the imagined environment, links and `..` included, as the file system would.

        Returns:
            The path below the folder of what it names, or None where nothing is there.

        Raises:
            OutsideError: it leads out of the folder.
        """
        if path not in self._resolved:
            try:
                self._resolved[path] = self._follow(path)
            except OutsideError:
                self._resolved[path] = ""
        found = self._resolved[path]
        if found == "":
            raise OutsideError(path)
        return found

    def _follow(self, path: str) -> str | None:
        waiting = path.split("/")[::-1]
        at: list[str] = []
        links = 0
        while waiting:
            part = waiting.pop()
            if part in ("", "."):
                continue
            if part == "..":
                if at:
                    at.pop()
                continue
            at.append(part)
            below = self._below(at)
            if below in self.links:
                links += 1
                if links > _MAX_LINKS:
                    return None
                target = self.links[below]
                at = [] if target.startswith("/") else at[:-1]
                waiting.extend(target.split("/")[::-1])
        below = self._below(at)
        if below is None:
            raise OutsideError(path)
        return below if below in self.files else None

    def _below(self, parts: list[str]) -> str | None:
        site = SITE.split("/")[1:]
        return "/".join(parts[len(site) :]) if parts[: len(site)] == site else None


def _folded(path: str) -> str:
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", path).casefold())


def _look_into(file: Path, path: str) -> Look:
    with file.open("rb") as stream:
        head = stream.read(_SNIFF)
    if head.startswith(metallib.MAGIC) or path.endswith(metallib.SUFFIX):
        return _look_into_metallib(path, lambda: [metallib.read_file(file)])
    if not macho.is_macho(head):
        return Look()
    try:
        with reading(path):
            image = macho.read(file, path)
    except NoArm64Error as error:
        why = f"it has no arm64 slice, only {error}"
        return Look(refused=why, findings=(Finding("no-arm64", path, f"It has no arm64 slice, only {error}."),))
    except MalformedError as error:
        finding = Finding("damaged", path, f"dyld would refuse it: {error}.")
        return Look(refused=f"it is damaged: {error}", findings=(finding,))
    if image.filetype not in macho.LOADABLE:
        return Look()
    return replace(_look_into_metallib(path, lambda: metallib.read_embedded(image)), image=image)


def _look_into_metallib(path: str, read: Callable[[], list[Metallib]]) -> Look:
    try:
        with reading(path):
            return Look(metallibs=tuple(read()))
    except metallib.OtherFormError:
        return Look(assumption=f"The GPU that {path} has compiled code for is the Mac's.")
    except metallib.OtherPlatformError as error:
        return Look(findings=(Finding("wrong-platform", path, f"Its Metal code is for {error}, not for macOS."),))
    except MalformedError as error:
        return Look(findings=(Finding("damaged", path, f"Metal would refuse it: {error}."),))
