"""The laid-down files: what is there, without following anything out of the folder.

Paths below the folder are written with slashes. For dyld the folder stands at SITE, where an environment's packages
lie, so that `@loader_path/../..` means what it means on a Mac.
"""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from . import macho
from .findings import Finding
from .macho import Image, MalformedError, NoArm64Error

SITE = "/env/lib/python/site-packages"
"""Where the folder stands in an imagined environment."""
PREFIX = "/env"
_MAX_LINKS = 32  # macOS: MAXSYMLINKS, <sys/param.h>
_SNIFF = 8


class OutsideError(Exception):
    """A path that leads out of the folder."""


@dataclass
class Tree:
    """A scanned folder.

    Attributes:
        root: the folder.
        files: size in bytes of each regular file by its path.
        links: target of each symbolic link by its path.
        images: the arm64 Mach-O images by path.
        refused: why dyld would not load a Mach-O file, by path.
        findings: what is wrong with the files themselves.
    """

    root: Path
    files: dict[str, int] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    images: dict[str, Image] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    _resolved: dict[str, str | None] = field(default_factory=dict)

    @classmethod
    def scan(cls, root: Path) -> "Tree":
        """List a folder and read the load commands of every Mach-O file in it."""
        tree = cls(root)
        for folder, names, files in os.walk(root):
            base = PurePosixPath(Path(folder).relative_to(root))
            names.sort()  # what is found comes in the same order wherever the files lie
            for name in sorted([*names, *files]):
                tree._add(Path(folder) / name, str(base / name))
        tree._check_links()
        return tree

    def _add(self, file: Path, path: str) -> None:
        status = file.lstat()
        if stat.S_ISLNK(status.st_mode):
            self.links[path] = str(file.readlink())
        elif stat.S_ISREG(status.st_mode):
            self.files[path] = status.st_size
            self._look_into(file, path)
        elif not stat.S_ISDIR(status.st_mode):
            self.findings.append(Finding("special-file", path, "It is neither a file, a folder nor a link."))

    def _look_into(self, file: Path, path: str) -> None:
        with file.open("rb") as stream:
            if not macho.is_macho(stream.read(_SNIFF)):
                return
        try:
            image = macho.read(file, path)
        except NoArm64Error as error:
            self.refused[path] = f"it has no arm64 slice, only {error}"
            self.findings.append(Finding("no-arm64", path, f"It has no arm64 slice, only {error}."))
        except MalformedError as error:
            self.refused[path] = f"it is damaged: {error}"
            self.findings.append(Finding("damaged", path, f"dyld would refuse it: {error}."))
        else:
            if image.filetype in macho.LOADABLE:
                self.images[path] = image

    def _check_links(self) -> None:
        for path, target in self.links.items():
            try:
                if self.resolve(f"{SITE}/{path}") is None:
                    self.findings.append(
                        Finding("dead-link", path, f"A link to {target}, which leads nowhere or in a circle.")
                    )
            except OutsideError:
                self.findings.append(Finding("leaves-folder", path, f"A link to {target}, outside the environment."))

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
