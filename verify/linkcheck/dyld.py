"""How dyld finds the libraries that an image links to, in a process in which others may be loaded already.

The rules and where they stand in Apple's source (apple-oss-distributions/dyld, folder dyld/):

- An image's libraries are all looked up first, then theirs, each with the chain of the images that led there:
  JustInTimeLoader.cpp, `loadDependents`.
- `@rpath/x` is, before any search, an image that is already loaded and has that very install name: Loader.cpp,
  `getLoader` ("first check if already loaded as rpath") with JustInTimeLoader.cpp, `matchesPath`. The name counts
  for dylibs only, never for bundles: `make`, `altInstallName`. This is how tensorflow-metal, whose own rpath leads to
  a folder of the machine that built it, finds `@rpath/_pywrap_tensorflow_internal.so`: TensorFlow has loaded it as a
  Python module, and it is a dylib with that install name. (The other possible way does not work: the caller's rpath,
  libtensorflow_framework's `@loader_path/`, is the folder above the one in which the file lies.)
- Otherwise each rpath of the image itself, then of the image that loaded it, and so on to whoever called dlopen and
  the main program: Loader.cpp, `forEachResolvedAtPathVar`; DyldAPIs.cpp, `dlopen_from` (loadChainCaller,
  loadChainMain). `@loader_path` in an rpath is the folder of the image that has the rpath.
- `@loader_path` and `@executable_path` elsewhere: same function.
- Every path tried is also compared with the paths and install names of what is loaded: `getLoader`
  ("already-loaded-by-path").
- A library that cannot be found is an error unless the link is weak; a re-exported one may not be weak:
  `loadDependents`.
- What an image links to must be a dylib, unless it is loaded already; dlopen takes bundles as well:
  JustInTimeLoader.cpp, `makeJustInTimeLoaderDisk`; DyldAPIs.cpp, `dlopen_from`.
- RTLD_LOCAL, which TensorFlow sets for plugins and Python does not set, hides only the opened image itself from
  lookups in all images, and never from its own: `makeJustInTimeLoaderDisk`, and Loader.cpp, `resolveSymbol`.
"""

import functools
import itertools
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from posixpath import dirname
from typing import Literal

from .macho import DYLIB, EXECUTE, Dependency, Image
from .system import System
from .tree import PREFIX, SITE, OutsideError, Tree

PYTHON = f"{PREFIX}/bin/python"
"""The environment's Python, as the main program of a process."""

MOST_PLACES = 4096
"""In which a library is looked for: far more than any Mac has, and few enough to be looked at."""

Where = Literal["environment", "system", "python", "missing"]


@dataclass(frozen=True)
class Outcome:
    """What a link leads to.

    Attributes:
        where: in the environment, in macOS, in Python itself, or nowhere.
        image: the image, where it is in the environment.
        tried: the places that were looked at and why each did not do, where it is missing.
        by_name: whether it was found because an image with that install name was loaded before.
    """

    where: Where
    image: Image | None = None
    tried: tuple[str, ...] = ()
    by_name: bool = False


@dataclass(frozen=True)
class Caller:
    """A link of the chain of images whose rpaths count."""

    path: str
    rpaths: tuple[str, ...]
    previous: "Caller | None" = None


@dataclass
class Process:
    """A process and what is loaded in it, in order.

    Attributes:
        tree: the environment's files.
        system: what is known of macOS's libraries.
        executable: path of the main program.
        loaded: images by path.
        outcomes: what each loaded image's links lead to, in the order of its ordinals.
        system_loaded: install names of macOS's libraries that are loaded.
    """

    tree: Tree
    system: System
    executable: str = PYTHON
    loaded: dict[str, Image] = field(default_factory=dict)
    outcomes: dict[str, tuple[Outcome, ...]] = field(default_factory=dict)
    system_loaded: set[str] = field(default_factory=set)
    _by_name: dict[str, Image] = field(default_factory=dict)

    def copy(self) -> "Process":
        """A process with the same images loaded."""
        return Process(
            self.tree,
            self.system,
            self.executable,
            dict(self.loaded),
            dict(self.outcomes),
            set(self.system_loaded),
            dict(self._by_name),
        )

    def open(self, image: Image, caller: Image | None = None) -> None:
        """Load an image and all that it links to: what dlopen does, or the start of a program.

        Args:
            image: what is opened, by its absolute path.
            caller: the image that calls dlopen; None for Python itself.
        """
        chain: Caller | None = None
        if image.filetype != EXECUTE:
            chain = Caller(self.executable, ())
            if caller is not None:
                chain = Caller(f"{SITE}/{caller.path}", caller.rpaths, chain)
        self._add(image)
        waiting: list[tuple[Image, Caller | None]] = [(image, chain)]
        while waiting:
            current, above = waiting.pop()
            if current.path in self.outcomes:
                continue
            here = Caller(f"{SITE}/{current.path}", current.rpaths, above)
            found = tuple(self._find(dependency, current, here) for dependency in current.dependencies)
            self.outcomes[current.path] = found
            waiting.extend((one.image, here) for one in reversed(found) if one.image is not None)

    def _add(self, image: Image) -> None:
        self.loaded.setdefault(image.path, image)
        if image.install_name is not None:
            self._by_name.setdefault(image.install_name, image)

    def _find(self, dependency: Dependency, image: Image, chain: Caller) -> Outcome:
        name = dependency.name
        known = self._by_name.get(name)
        if known is not None and name.startswith("@rpath/"):
            return Outcome("environment", known, by_name=True)
        tried: list[str] = []
        candidates = itertools.chain(self._candidates(name, chain), self.system.fallbacks(name, image))
        for number, path in enumerate(candidates):
            if number == MOST_PLACES:
                return Outcome("missing", tried=(f"more than the {MOST_PLACES} places that are looked at",))
            found = self._at(path)
            if isinstance(found, Outcome):
                return found
            tried.append(f"{path.removeprefix(f'{SITE}/')} ({found})")
        if not tried:
            tried.append("no rpath leads anywhere")
        return Outcome("missing", tried=tuple(dict.fromkeys(tried)))

    def _at(self, path: str) -> Outcome | str:
        """What dyld loads from a path, or why it loads nothing from there."""
        known = self._by_name.get(path)
        if known is not None:
            return Outcome("environment", known, by_name=True)
        if self.system.is_system(path):
            self.system.use(path)
            self.system_loaded.add(path)
            return Outcome("system")
        if not path.startswith("/"):
            return "relative to the current folder"
        return Outcome("python") if self.system.is_python(path) else self._in_tree(path)

    def _in_tree(self, path: str) -> Outcome | str:
        try:
            below = self.tree.resolve(path)
        except OutsideError:
            return "outside the environment's packages"
        if below is None:
            return "no such file"
        image = self.loaded.get(below)
        if image is None:
            image = self.tree.images.get(below)
            if image is None or image.filetype != DYLIB:
                return self.tree.refused.get(below, "it is not a library that can be linked to")
            self._add(image)
        return Outcome("environment", image)

    def _candidates(self, name: str, chain: Caller) -> Iterator[str]:
        if not name.startswith("@rpath/"):
            yield _expand(name, chain.path, self.executable) or name
            return
        link: Caller | None = chain
        while link is not None:
            for rpath in link.rpaths:
                folder = _expand(rpath, link.path, self.executable) or rpath
                yield folder.rstrip("/") + name.removeprefix("@rpath")
            link = link.previous

    def chains(self, start: Image) -> Callable[[str], list[str]]:
        """What gives the shortest way along links from an image to another that it reaches, both included; paths."""
        before = self._ways(start)

        def chain(end: str) -> list[str]:
            way: list[str] = []
            at: str | None = end
            while at is not None:
                way.append(at)
                at = before[at]
            return way[::-1]

        return chain

    def reached(self, start: Image) -> list[Image]:
        """The image and all that it links to, directly or through others, as far as they are in the environment."""
        return [self.loaded[path] for path in self._ways(start)]

    def _ways(self, start: Image) -> dict[str, str | None]:
        """What an image reaches, the nearest first: by path, the path of the image that leads there."""
        before: dict[str, str | None] = {start.path: None}
        waiting = deque([start.path])
        while waiting:
            path = waiting.popleft()
            for outcome in self.outcomes.get(path, ()):
                if outcome.image is not None and outcome.image.path not in before:
                    before[outcome.image.path] = path
                    waiting.append(outcome.image.path)
        return before


@functools.lru_cache(maxsize=1 << 16)
def _expand(path: str, loader: str, executable: str) -> str | None:
    """A path of which the folder of the image that has it, or of the main program, takes the variable's place."""
    for variable, program in (("@loader_path", loader), ("@executable_path", executable)):
        if path == variable or path.startswith(f"{variable}/"):
            return dirname(program) + path.removeprefix(variable)
    return None
