"""What is known of the libraries that macOS and Python bring along.

macOS's libraries lie in dyld's shared cache, not in files, and no wheel has them. macos_libraries.json lists those
that were seen in Apple's SDKs, each with its source; others, and those seen only in an SDK that is newer than the
profile's floor, are taken to exist, and the result says so.
"""

import functools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..macos import Version, parse_version
from .macho import Image
from .tree import PREFIX, SITE

_DATA = Path(__file__).with_name("macos_libraries.json")
_LIBSYSTEM = Path(__file__).with_name("libsystem.txt")
_FOLDERS = ("/usr/lib/", "/System/Library/", "/System/iOSSupport/", "/System/DriverKit/")
"""Where the shared cache has libraries: Loader.cpp, `mightBeInSharedCache`."""
_FALLBACKS_UNTIL: Version = (13, 0, 0)
_CORE_FOUNDATION = re.compile(r"_(?:k|__)?CF(?!FTP|HTTP|Host|Net|Proxy)")
"""Names of CoreFoundation, but not of CFNetwork: Python itself is linked to it, as `python3-config --libs` says on a
Mac, so that it is in every process (setproctitle looks its names up in all images)."""
_PYTHON_LIBRARY = re.compile(rf"{PREFIX}/(?:lib/libpython3\.\d+\.dylib|Python)$")


@dataclass
class System:
    """macOS at a profile's floor.

    Attributes:
        floor: oldest macOS that the profile works on.
        assumed: libraries that were taken to exist because the data does not have them at that floor.
    """

    floor: Version
    prefix: Path | None = None
    """A conda environment, whose lib has libraries of no Python package: those that are there are taken to load."""
    assumed: set[str] = field(default_factory=set)
    _seen: dict[str, Version] = field(default_factory=dict)
    _prefixes: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        data = json.loads(_DATA.read_text(encoding="utf-8"))
        for sdk in data["sdks"]:
            version = parse_version(sdk["macos"])
            for library in sdk["libraries"]:
                self._seen[library] = min(version, self._seen.get(library, version))
        self._prefixes = {prefix: one["library"] for one in data["symbols"] for prefix in one["prefixes"]}

    def is_system(self, path: str) -> bool:
        """Whether a path belongs to macOS."""
        return path.startswith(_FOLDERS)

    def use(self, path: str) -> None:
        """Take note that a library is needed: where it is not known to exist at the floor it is taken to."""
        seen = self._seen.get(path)
        if seen is None or seen > self.floor:
            self.assumed.add(path)

    def has_symbol(self, name: str, loaded: set[str]) -> bool:
        """Whether a symbol is one of libSystem, which every process has, or of another library that is loaded."""
        names, beginnings = _libsystem()
        return (
            name in names
            or _CORE_FOUNDATION.match(name) is not None
            or name.startswith(beginnings)
            or any(name.startswith(prefix) and library in loaded for prefix, library in self._prefixes.items())
        )

    def may_have_symbol(self, name: str, loaded: set[str]) -> bool:
        """Whether a library that is loaded, and of whose symbols nothing is known, may have a symbol.

        None has C++ for others: a C++ name outside namespace std is never macOS's.
        """
        return not name.startswith("__Z") and not loaded <= {"/usr/lib/libSystem.B.dylib", *self._prefixes.values()}

    def is_python(self, path: str) -> bool:
        """Whether a path is the environment's libpython, which comes with Python and not with a wheel."""
        whole = _normal(path)
        return bool(_PYTHON_LIBRARY.match(whole)) or (
            self.prefix is not None
            and whole.startswith(f"{PREFIX}/")
            and not whole.startswith(f"{SITE}/")
            and (self.prefix / whole.removeprefix(f"{PREFIX}/")).is_file()
        )

    def fallbacks(self, name: str, image: Image) -> Iterator[str]:
        """Where dyld looks at last for a library that files built before the SDK of macOS 13 link to.

        DyldProcessConfig.cpp, `forEachPathVariant` and `forEachDylibFallback`: /usr/local/lib, empty on a new Mac,
        and /usr/lib, by the last part of the name; JustInTimeLoader.cpp, `make`, `pre2022Binary`.
        """
        if (image.sdk is None or image.sdk < _FALLBACKS_UNTIL) and ".framework/" not in name:
            path = f"/usr/lib/{name.rpartition('/')[2]}"
            if path in self._seen:
                yield path


@functools.cache
def _libsystem() -> tuple[frozenset[str], tuple[str, ...]]:
    """The names of libSystem's symbols, and what others begin with."""
    lines = _LIBSYSTEM.read_text(encoding="utf-8").splitlines()
    words = [word for line in lines if not line.startswith("#") for word in line.split()]
    return frozenset(words), tuple(word[:-1] for word in words if word.endswith("*"))


@functools.lru_cache(maxsize=1 << 16)
def _normal(path: str) -> str:
    """Take `folder/..` out of a path."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part not in ("", ".", ".."):
            parts.append(part)
    return "/" + "/".join(parts)
