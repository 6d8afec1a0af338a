"""Runtimes that must be in a process only once."""

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from .findings import Finding
from .limits import reading
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

PROTOBUF = "__ZGVZN6google8protobuf8internal12ShutdownData3getEvE4data"
"""What Protobuf keeps in a process until it ends: a weak definition, of which dyld takes one for all images."""
OLDER_PROTOBUF = "__ZN6google8protobuf8internal11LogFinisheraSERNS1_10LogMessageE"
"""What Protobuf had until version 21, in which the lock in that state is another kind of lock than since then."""


def check(
    tree: Tree, symbols: Symbols, loaders: Callable[[Image], Iterable[str]], owners: Mapping[str, str]
) -> Iterator[Finding]:
    """Runtimes of which the tree has more than one copy, and copies that break each other.

    Args:
        tree: the environment's files.
        symbols: looks up what they export.
        loaders: the Python statements that load an image.
        owners: package name by path.
    """
    yield from _protobuf(tree, symbols, owners)
    for runtime in RUNTIMES:
        copies = [image for image in tree.images.values() if _exports(symbols, image, runtime.symbol)]
        if len(copies) > 1:
            yield Finding(
                "duplicate-runtime",
                runtime.name,
                f"{len(copies)} copies, if what loads them is used in one process. {runtime.why}",
                details=tuple(f"{image.path}: {_shown(list(loaders(image)))}" for image in copies),
            )


def _protobuf(tree: Tree, symbols: Symbols, owners: Mapping[str, str]) -> Iterator[Finding]:
    """Packages that bring Protobuf from before and since version 22, both for all to see.

    Seen in wheels: tensorflow 2.20.0 and array-record 0.8.1 are of the newer kind, tensorflow 2.19.1 and pyarrow 21.0.0
    of the older one, and pyarrow 22.0.0 shows nothing of its copy. Users report those of two kinds, and no others.
    """
    kinds: dict[bool, dict[str, list[str]]] = {True: {}, False: {}}
    for path, image in sorted(tree.images.items()):
        if _exports(symbols, image, PROTOBUF):
            older = _exports(symbols, image, OLDER_PROTOBUF)
            kinds[older].setdefault(owners.get(path, path), []).append(path)
    for newer, old in itertools.product(sorted(kinds[False]), sorted(kinds[True])):
        if newer != old:
            yield Finding(
                "mixed-runtime",
                f"{newer}+{old}",
                f"{newer} brings a Protobuf since version 22, {old} one from before, and dyld makes one of what both "
                "keep. Importing the second in one process aborts (`mutex lock failed: Invalid argument`) or hangs "
                "(tensorflow #98563, arrow #40088).",
                details=(*kinds[False][newer], *kinds[True][old]),
            )


def _exports(symbols: Symbols, image: Image, name: str) -> bool:
    try:
        with reading(image.path):
            return symbols.tables.exports(image).find(name) is not None
    except MalformedError:
        return False  # reported where the image is loaded


def _shown(statements: list[str]) -> str:
    """Statements by the first part of what they import: "import sklearn.* (18)"."""
    counted = Counter(re.sub(r"^(import [^.]+)\..*", r"\1.*", one) for one in statements)
    return ", ".join(f"{statement} ({count})" if count > 1 else statement for statement, count in counted.items())
