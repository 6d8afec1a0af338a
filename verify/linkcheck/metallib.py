"""Metal libraries: what they are made for, in files of their own and inside Mach-O files.

Metal refuses a library that is made for a newer macOS, or whose code (AIR, Apple's variant of LLVM's bitcode) or Metal
language is newer than the macOS knows; users see "This library is using language version 4.0 which is not supported on
this OS" or "deployment target … not supported on this OS".

The form is not documented. As seen in the wheels of mlx-metal 0.29.4 to 0.32.4, torch 2.15.0 and jax-mps 0.11.1, all
numbers little-endian: a header of 88 bytes, `MTLB`, platform and version of the form, type, system that it is made for
with its version (macOS 26.2 is 26, 2), size of the whole, then offset and size of four parts: list of functions, public
metadata, private metadata, bitcode. The list: number of functions, then for each its size and tags of four letters,
length and data, up to `ENDT`. `VERS` has the versions of AIR and language, `OFFT` the places in the last three parts,
`MDSZ` the size of the function's bitcode.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .. import macos
from ..macos import Version
from .macho import Image, MalformedError

MAGIC = b"MTLB"
SUFFIX = ".metallib"
_HEADER = struct.Struct("<4sHHHBBHH9Q")
_MACOS_PLATFORM, _MACOS, _NONE = 0x8001, 0x81, 0
"""The last one in the older form 2.5, which states neither a system nor sizes: SDL 2's in opencv-python 5.0.0.93."""
_PLATFORMS = {0x82: "iOS", 0x83: "tvOS", 0x84: "watchOS", 0x86: "Mac Catalyst", 0x87: "iOS simulator"}
_EMBEDDED = MAGIC + _MACOS_PLATFORM.to_bytes(2, "little")
_BLOCK = 1 << 22
_OTHER_FORMS = (b"\xcb\xfe\xba\xbe", b"\xca\xfe\xba\xbe", b"\xcf\xfa\xed\xfe")
"""Archives of code that is compiled for certain GPUs already."""
_MAX_LIST = 64 << 20
"""Bytes of a list of functions; those of mlx, with 19,000, have 3 MB."""
_MAX_EMBEDDED = 64
_COUNT, _ENTRY, _TAG = struct.Struct("<I"), struct.Struct("<I"), struct.Struct("<4sH")
_SIZES = {b"VERS": 8, b"OFFT": 24, b"MDSZ": 8}


@dataclass(frozen=True)
class Metallib:
    """A Metal library.

    Attributes:
        made_for: the macOS that it is made for; 0.0 where it states none.
        air, metal: the newest version of AIR, and of the language, among its functions; 0.0 where it has none.
        size: in bytes.
    """

    made_for: Version
    air: tuple[int, int]
    metal: tuple[int, int]
    size: int

    @property
    def needs(self) -> Version | None:
        """The oldest macOS that loads it; None where none is known that does."""
        fitting = [one.version for one in macos.releases() if self.air <= one.air and self.metal <= one.metal]
        return max(self.made_for, fitting[0]) if fitting else None

    def __str__(self) -> str:
        air, metal = (".".join(map(str, one)) for one in (self.air, self.metal))
        made_for = f"made for macOS {macos.show_version(self.made_for)}" if any(self.made_for) else "made for any macOS"
        return f"{made_for}, with AIR {air} and version {metal} of the language"


class OtherPlatformError(Exception):
    """A Metal library for another system than macOS; the message names it."""


class OtherFormError(Exception):
    """A file with GPU code in a form that is not looked into."""


def read_file(file: Path) -> Metallib:
    """Read a file that is a Metal library.

    Raises:
        MalformedError: it is damaged, or none.
        OtherPlatformError: it is for another system.
        OtherFormError: it is an archive of compiled code.
    """
    with file.open("rb") as stream:
        size = stream.seek(0, 2)
        found = _read(stream, 0, size)
    if found.size != size:
        raise MalformedError(f"{size} bytes, and its header says {found.size}")
    return found


def read_embedded(image: Image) -> list[Metallib]:
    """Read the Metal libraries that lie inside an image.

    Raises:
        MalformedError: one of them is damaged.
        OtherPlatformError: one is for another system.
    """
    found: list[Metallib] = []
    start, end = image.slice.offset, image.slice.offset + image.slice.size
    with image.file.open("rb") as stream, image.file.open("rb") as other:
        after = 0
        for place in _places(other, start, end):
            if place < after:
                continue  # what looks like one inside another
            if len(found) == _MAX_EMBEDDED:
                raise MalformedError(f"more than {_MAX_EMBEDDED} libraries in one file")
            try:
                found.append(_read(stream, place, end - place))
            except MalformedError as error:
                raise MalformedError(f"at {place:#x}: {error}") from error
            after = place + found[-1].size
    return found


def _places(stream: BinaryIO, start: int, end: int) -> Iterator[int]:
    """Where a part of a file has what a Metal library begins with."""
    stream.seek(start)
    data, at = b"", start  # what is looked into, and where it lies
    while block := stream.read(min(_BLOCK, end - at - len(data))):
        data += block
        found = data.find(_EMBEDDED)
        while found >= 0:
            yield at + found
            found = data.find(_EMBEDDED, found + 1)
        kept = len(_EMBEDDED) - 1
        data, at = data[-kept:], at + max(0, len(data) - kept)


def needs(libraries: Iterable[Metallib]) -> Version | None:
    """The oldest macOS that loads one of several libraries; None where none is known that does."""
    return min((one.needs for one in libraries if one.needs), default=None)


def _read(stream: BinaryIO, place: int, room: int) -> Metallib:
    """Read the library at a place of a file, which has at most so many bytes from there on."""
    stream.seek(place)
    head = stream.read(_HEADER.size)
    if head[:4] in _OTHER_FORMS:
        raise OtherFormError
    if head[:4] != MAGIC:
        raise MalformedError("it is no Metal library")
    if len(head) < _HEADER.size:
        raise MalformedError("cut off in its header")
    _, platform, _, _, _, system, major, minor, size, *parts = _HEADER.unpack(head)
    if not _HEADER.size <= size <= room:
        raise MalformedError(f"its header says {size} bytes, of which {room} are there")
    ranges = list(zip(parts[::2], parts[1::2], strict=True))
    for (offset, length), name in zip(
        ranges, ("functions", "public metadata", "private metadata", "code"), strict=True
    ):
        if not _HEADER.size <= offset <= size - length:
            raise MalformedError(f"its {name} are not inside it")
    if platform != _MACOS_PLATFORM or system not in (_MACOS, _NONE):
        raise OtherPlatformError(_PLATFORMS.get(system, f"system {system:#x} of platform {platform:#x}"))
    at, length = ranges[0]
    length += _COUNT.size
    if length > _MAX_LIST or at + length > size:
        raise MalformedError(f"a list of functions of {length} bytes")
    stream.seek(place + at)
    functions = stream.read(length)
    if len(functions) < length:
        raise MalformedError("the file ended while it was read")
    versions = _versions(functions, [size for _, size in ranges[1:]], sized=system != _NONE)
    air = max((one[:2] for one in versions), default=(0, 0))
    metal = max((one[2:] for one in versions), default=(0, 0))
    return Metallib((major, minor, 0), air, metal, size)


def _versions(data: bytes, sizes: list[int], *, sized: bool) -> set[tuple[int, int, int, int]]:
    """The versions of all functions of a list.

    Args:
        data: the list.
        sizes: of public metadata, private metadata and code, within which each function's must lie.
        sized: whether functions state the size of their code.
    """
    (count,) = _COUNT.unpack_from(data)
    found: set[tuple[int, int, int, int]] = set()
    at = _COUNT.size
    for number in range(count):
        if at + _ENTRY.size > len(data):
            raise MalformedError(f"the list of {count} functions ends after {number}")
        (size,) = _ENTRY.unpack_from(data, at)
        if size < _ENTRY.size or at + size > len(data):
            raise MalformedError(f"function {number} is not inside the list")
        tags = _tags(data[at + _ENTRY.size : at + size], number, sized=sized)
        places = struct.unpack("<3Q", tags[b"OFFT"])
        ends = (places[0], places[1], places[2] + int.from_bytes(tags.get(b"MDSZ", b""), "little"))
        if any(end > whole for end, whole in zip(ends, sizes, strict=True)):
            raise MalformedError(f"the code of function {number} is not inside it")
        found.add(struct.unpack("<4H", tags[b"VERS"]))
        at += size
    if at != len(data):
        raise MalformedError(f"{len(data) - at} bytes after its functions")
    return found


def _tags(data: bytes, number: int, *, sized: bool) -> dict[bytes, bytes]:
    """The tags of a function; those that are needed have the sizes that they must."""
    found: dict[bytes, bytes] = {}
    at = 0
    while data[at : at + 4] != b"ENDT":
        if at + _TAG.size > len(data):
            raise MalformedError(f"the tags of function {number} do not end")
        name, length = _TAG.unpack_from(data, at)
        at += _TAG.size
        found[name] = data[at : at + length]
        at += length
    if at + 4 != len(data):
        raise MalformedError(f"the tags of function {number} end before it does")
    for name, length in _SIZES.items():
        if len(found.get(name, b"")) != length and (sized or name != b"MDSZ"):
            raise MalformedError(f"function {number} has no whole {name.decode()}")
    return found
