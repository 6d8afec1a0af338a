"""Are the symbols that images bind exported by the libraries they are bound to?

After dyld's Loader.cpp: `resolveSymbol` for the library ordinals, `hasExportedSymbol` for what a library exports
itself, through re-exported symbols and through re-exported libraries.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from . import linkedit
from .dyld import Outcome, Process, Where
from .findings import Counts
from .linkedit import Import, Tables
from .macho import Image

Answer = Literal["yes", "system", "no"]
"""Exported by the environment; by macOS, for all that is known; by nobody."""

_FAMILY = re.compile(r"_+[A-Za-z0-9]+_(?=.)")
_PYTHON_PREFIXES = ("_Py", "__Py")
_NO_SUCH_LIBRARY = Outcome("missing")


@dataclass(frozen=True)
class Missing:
    """A symbol that an image binds and that is not exported.

    Attributes:
        image: path of the image that binds it.
        symbol: its name.
        provider: path of the image that should export it; None for a lookup in all loaded images.
    """

    image: str
    symbol: str
    provider: str | None


@dataclass
class Symbols:
    """Looks symbols up.

    Attributes:
        counts: symbols looked up are counted here, each once for an image and what its links led to.
        tables: what has been read of images.
        assumed: images' paths and the symbols that they look up in all images and macOS is taken to have.
    """

    counts: Counts
    tables: Tables = field(default_factory=Tables)
    assumed: set[tuple[str, str]] = field(default_factory=set)
    _checked: dict[tuple[str, tuple[Outcome, ...]], tuple[list[Missing], list[Import]]] = field(default_factory=dict)
    _counted: set[str] = field(default_factory=set)

    def check(self, process: Process, image: Image) -> list[Missing]:
        """Look up all symbols that a loaded image binds.

        Raises:
            MalformedError: a table of the image, or of one that it binds to, is damaged.
        """
        outcomes = process.outcomes[image.path]
        key = (image.path, outcomes)
        if key not in self._checked:
            self._checked[key] = self._check_links(process, image, outcomes)
        missing, anywhere = self._checked[key]
        for one in anywhere:
            if not self._exported_anywhere(process, one.name):
                if not (self._known_in_macos(process, one) or self._may_be_macos(process, one)):
                    missing = [*missing, Missing(image.path, one.name, None)]
                elif one.ordinal != linkedit.WEAK_LOOKUP:
                    self.assumed.add((image.path, one.name))
        return missing

    def _check_links(
        self, process: Process, image: Image, outcomes: tuple[Outcome, ...]
    ) -> tuple[list[Missing], list[Import]]:
        """Check what is bound to a certain library; returns also what may be found in any loaded image."""
        missing: list[Missing] = []
        anywhere: list[Import] = []
        tally: Counter[Where] = Counter()
        for one in self.tables.imports(image):
            if one.ordinal > 0:
                outcome = outcomes[one.ordinal - 1] if one.ordinal <= len(outcomes) else _NO_SUCH_LIBRARY
                where, provider = outcome.where, outcome.image
            else:
                where, provider = _special(one, image)
            tally[where] += 1
            if one.weak or where in ("system", "python"):
                continue
            if provider is not None:
                if self.exported(process, provider, one.name) == "no":
                    if one.ordinal == linkedit.WEAK_LOOKUP:
                        anywhere.append(one)
                    else:
                        missing.append(Missing(image.path, one.name, provider.path))
            elif one.ordinal <= 0:
                anywhere.append(one)
            elif one.ordinal > len(outcomes):
                missing.append(
                    Missing(image.path, one.name, f"library number {one.ordinal}, which it does not link to")
                )
            elif image.dependencies[one.ordinal - 1].weak:
                # A missing library that may not be missing is reported as such, not symbol by symbol.
                missing.append(Missing(image.path, one.name, image.dependencies[one.ordinal - 1].name))
        if image.path not in self._counted:
            self._counted.add(image.path)
            self.counts.symbols += tally["environment"] + tally["missing"]
            self.counts.system_symbols += tally["system"]
            self.counts.python_symbols += tally["python"]
        return missing, anywhere

    def lost(self, process: Process, image: Image) -> dict[str, list[str]]:
        """By the name of each library that is missing: symbols that are bound to it and that nothing loaded exports.

        Raises:
            MalformedError: a table of an image is damaged.
        """
        found: dict[str, list[str]] = {}
        for one in self.tables.imports(image):
            if one.weak or not 0 < one.ordinal <= len(image.dependencies):
                continue
            if (
                process.outcomes[image.path][one.ordinal - 1].where == "missing"
                and not self._exported_anywhere(process, one.name)
                and not self._known_in_macos(process, one)
            ):
                found.setdefault(image.dependencies[one.ordinal - 1].name, []).append(one.name)
        return found

    def _exported_anywhere(self, process: Process, name: str) -> bool:
        return any(self.tables.exports(image).find(name) is not None for image in process.loaded.values())

    def _known_in_macos(self, process: Process, one: Import) -> bool:
        if one.ordinal == linkedit.WEAK_LOOKUP and any("libc++" in name for name in process.system_loaded):
            # C++'s runtime has definitions that others may replace, such as operator new; its symbols are not known.
            return True
        return process.system.has_symbol(one.name, process.system_loaded)

    def _may_be_macos(self, process: Process, one: Import) -> bool:
        """Whether a symbol that is looked up in all images, and that none of the environment exports, may be macOS's.

        It is not where something that is loaded exports names that begin alike, as libtensorflow_framework does for
        `_TF_AssignUpdateVariable`: then it is that library which should have it.
        """
        if one.ordinal != linkedit.FLAT_LOOKUP or not process.system.may_have_symbol(one.name, process.system_loaded):
            return False
        family = _FAMILY.match(one.name)
        return family is None or not any(
            self.tables.exports(image).has_beginning(family.group()) for image in process.loaded.values()
        )

    def exported(self, process: Process, image: Image, name: str) -> Answer:
        """Whether a loaded image exports a symbol, itself or through what it re-exports."""
        searched: set[tuple[str, str]] = set()
        waiting = [(image, name)]
        answer: Answer = "no"
        while waiting:
            current, wanted = waiting.pop()
            if (current.path, wanted) in searched:
                continue
            searched.add((current.path, wanted))
            outcomes = process.outcomes.get(current.path, ())
            entry = self.tables.exports(current).find(wanted)
            if entry is not None:
                if entry.ordinal == linkedit.SELF:
                    return "yes"
                if 0 < entry.ordinal <= len(outcomes):
                    outcome = outcomes[entry.ordinal - 1]
                    if outcome.image is not None:
                        waiting.append((outcome.image, entry.name))
                    elif outcome.where in ("system", "python"):
                        answer = "system"
                continue
            for dependency, outcome in zip(current.dependencies, outcomes, strict=True):
                if dependency.reexport:
                    if outcome.image is not None:
                        waiting.append((outcome.image, wanted))
                    elif outcome.where == "system":
                        answer = "system"
        return answer


def _special(one: Import, image: Image) -> tuple[Where, Image | None]:
    """Where a symbol with a special ordinal is looked up, and in which image first; None for all that are loaded."""
    if one.ordinal in (linkedit.SELF, linkedit.WEAK_LOOKUP):
        return "environment", image
    if one.name.startswith(_PYTHON_PREFIXES):
        return "python", None
    return "environment", None
