"""NumPy's C interface: extensions compiled against NumPy 1.x in an environment that has NumPy 2.

No symbol tells: an extension asks NumPy for a table of functions when it is imported. What asks is compiled into the
extension itself, and the module that it asks for changed its name with NumPy 2: `numpy.core._multiarray_umath` before,
`numpy._core._multiarray_umath` since, where headers of NumPy 2 try both (numpy/core/include/numpy/__multiarray_api.h,
`_import_array`). pybind11 before 2.12 asks for `numpy.core.multiarray` (pybind11/numpy.h, `npy_api::lookup`). NumPy 2
has modules of the old names that refuse with "A module that was compiled using NumPy 1.x cannot be run in NumPy 2"
(numpy/core/_multiarray_umath.py).

Seen in wheels: those of pandas 2.1.0, scipy 1.11.4, tensorflow 2.16.2, torch 2.2.2, pyarrow 14.0.2, h5py 3.10.0,
opencv-python 4.9.0.80 and contourpy 1.2.0 are for NumPy 1; pandas 2.2.3, scikit-learn 1.7.2, tensorflow 2.18.0, torch
2.9.0, pyarrow 17.0.0, onnxruntime 1.22.0 and contourpy 1.3.1 for both.
"""

import functools
import mmap
from collections.abc import Iterable, Iterator, Mapping

from packaging.version import Version

from . import packages
from .findings import Finding
from .limits import reading
from .macho import Image, MalformedError
from .packages import Package, Target
from .symbols import Symbols
from .tree import Tree

_ASKS = (b"module compiled against ABI version", b"\0numpy.core.multiarray\0")
_KNOWS_NEW_NAME = b"numpy._core"
_TABLE = "_PyCapsule_GetPointer"
"""The function of Python by which the table is had."""
_FIRST_NEW = 2


def check(
    tree: Tree, symbols: Symbols, installed: Iterable[Package], owners: Mapping[str, str], target: Target
) -> Iterator[Finding]:
    """Packages with extensions compiled against NumPy 1.x, where NumPy 2 or newer is installed.

    Args:
        tree: the environment's files.
        symbols: knows what they import.
        installed: the packages.
        owners: package name by path.
        target: what they are meant for.
    """
    by_name = {package.name: package for package in installed}
    numpy = by_name.get("numpy")
    if numpy is None or not _is_new(numpy.version):
        return
    found: dict[str, list[str]] = {}
    for path, image in tree.images.items():
        owner = owners.get(path, path)
        if owner != "numpy" and _refused(symbols, image):
            found.setdefault(owner, []).append(path)
    for owner, paths in found.items():
        yield Finding(
            "numpy-abi",
            owner,
            f"{len(paths)} file(s) are compiled against NumPy 1.x, and numpy {numpy.version} refuses those when they "
            f"are imported.{_said(by_name.get(owner), target)}",
            details=tuple(sorted(paths)),
        )


def _is_new(version: str) -> bool:
    try:
        return Version(version).major >= _FIRST_NEW
    except ValueError:
        return False


def _refused(symbols: Symbols, image: Image) -> bool:
    try:
        with reading(image.path):
            return any(one.name == _TABLE for one in symbols.tables.imports(image)) and is_for_numpy_1(image)
    except MalformedError:
        return False  # reported where the image is loaded


@functools.lru_cache(maxsize=4096)
def is_for_numpy_1(image: Image) -> bool:
    """Whether an image asks for NumPy's table by the name that it had until NumPy 1.26 alone."""
    start, end = image.slice.offset, image.slice.offset + image.slice.size
    with image.file.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return any(data.find(one, start, end) >= 0 for one in _ASKS) and data.find(_KNOWS_NEW_NAME, start, end) < 0


def _said(package: Package | None, target: Target) -> str:
    """What a package itself says of NumPy."""
    if package is None:
        return ""
    own = [one for one in package.requires if one.name.lower() == "numpy" and packages.applies(one, target)]
    said = [str(one.specifier) or "any version" for one in own]
    declared = " and ".join(dict.fromkeys(said)) or "nothing of NumPy"
    return f" {package.name} {package.version} declares {declared}."
