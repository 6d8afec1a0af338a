"""Runtimes that must be in a process only once."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from .findings import Finding
from .macho import Image, MalformedError
from .symbols import Symbols
from .tree import Tree


@dataclass(frozen=True)
class Runtime:
    """A runtime with state of its own per process.

    Attributes:
        name: for the finding.
        symbol: what every build of it exports.
        why: what two copies do.
    """

    name: str
    symbol: str
    why: str


RUNTIMES = (
    Runtime(
        "openmp",
        "___kmpc_fork_call",
        "Two copies of the OpenMP runtime in one process can crash, depending on which is loaded first (pytorch "
        "#132372, #171323); KMP_DUPLICATE_LIB_OK can give silently wrong results.",
    ),
)


def check(tree: Tree, symbols: Symbols, loaders: Callable[[Image], Iterable[str]]) -> Iterator[Finding]:
    """Runtimes of which the tree has more than one copy.

    Args:
        tree: the environment's files.
        symbols: looks up what they export.
        loaders: the Python statements that load an image.
    """
    for runtime in RUNTIMES:
        copies = [image for image in tree.images.values() if _exports(symbols, image, runtime.symbol)]
        if len(copies) > 1:
            yield Finding(
                "duplicate-runtime",
                runtime.name,
                f"{len(copies)} copies, if what loads them is used in one process. {runtime.why}",
                details=tuple(f"{image.path}: {_shown(list(loaders(image)))}" for image in copies),
            )


def _exports(symbols: Symbols, image: Image, name: str) -> bool:
    try:
        return symbols.tables.exports(image).find(name) is not None
    except MalformedError:
        return False  # reported where the image is loaded


def _shown(statements: list[str]) -> str:
    """Statements by the first part of what they import: "import sklearn.* (18)"."""
    counted = Counter(re.sub(r"^(import [^.]+)\..*", r"\1.*", one) for one in statements)
    return ", ".join(f"{statement} ({count})" if count > 1 else statement for statement, count in counted.items())
