"""Reading Mach-O files: header and load commands of the arm64 slice.

macholib (MIT) decodes the load commands. It is given only the bytes of the commands, never the whole file, because
it copies every section into memory. Measured on the 455 files (2.0 GB) of profile ml-m1 by
benchmarks/macho_readers.py: lief 1.0.0 took more than ten times as long and 2.2 GB, and still 2.0 GB when told to
skip all symbol tables, most of it for libtensorflow_cc alone; macholib 1.16.4 by itself 2.0 s and 482 MB; this way,
with all bound symbols, 1.8 s and 97 MB. What macholib does not decode (exports trie, bind opcodes, chained imports)
is in linkedit.py, which the tests compare with lief. lief is C++, so a fault in it on a damaged file would end the
process; here the worst that a damaged file can cause is a Python exception.

The formats are described in Apple's <mach-o/loader.h> and <mach-o/fat.h>.
"""

import io
import os
import stat
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from macholib import mach_o
from macholib.MachO import MachOHeader
from macholib.ptypes import sizeof

from ..macos import Version

MAX_FILE = 2 << 30
"""Largest file that is looked into, in bytes; the largest known wheel file is 0.6 GB."""
MAX_COMMANDS = 4 << 20
"""Largest table of load commands that is read, in bytes; real ones have a few KiB."""
MAX_SLICES = 32
MAX_TABLE = 256 << 20
"""Largest table that is read, in bytes; the largest known one, libtensorflow_cc's of exports, has 41 MB."""
MAX_DEPENDENCIES, MAX_RPATHS = 1024, 256
"""Of one image; the known ones have 48 and 11 at most."""
_FAT_HEADER = struct.Struct(">II")
_HEADER_SIZE = 32

_ARM64 = 0x0100000C  # CPU_TYPE_ARM64, <mach/machine.h>
_ARM64E = 2  # CPU_SUBTYPE_ARM64E: for Apple's own programs; dyld refuses it in a third-party process
_FAT_MAGICS = (mach_o.FAT_MAGIC, mach_o.FAT_MAGIC_64)
_THIN_MAGICS = {
    b"\xcf\xfa\xed\xfe": (mach_o.MH_CIGAM_64, mach_o.mach_header_64, "<"),
    b"\xfe\xed\xfa\xcf": (mach_o.MH_MAGIC_64, mach_o.mach_header_64, ">"),
    b"\xce\xfa\xed\xfe": (mach_o.MH_CIGAM, mach_o.mach_header, "<"),
    b"\xfe\xed\xfa\xce": (mach_o.MH_MAGIC, mach_o.mach_header, ">"),
}
_CPU_NAMES = {7: "i386", 0x01000007: "x86_64", 12: "arm", _ARM64: "arm64e", 18: "ppc", 0x01000012: "ppc64"}
"""Of slices that dyld does not load: what is arm64 and not loaded is arm64e."""
EXECUTE, DYLIB, BUNDLE = mach_o.MH_EXECUTE, mach_o.MH_DYLIB, mach_o.MH_BUNDLE
LOADABLE = (EXECUTE, DYLIB, BUNDLE)
"""File types that dyld loads; object files and debug symbols are left alone."""
MACOS = 1  # PLATFORM_MACOS, <mach-o/loader.h>
PLATFORMS = {
    2: "iOS",
    3: "tvOS",
    4: "watchOS",
    6: "Mac Catalyst",
    7: "iOS simulator",
    11: "visionOS",
}


class MalformedError(Exception):
    """A file that dyld would refuse, or that is not worth trusting; the message says what is wrong with it."""


class NoArm64Error(Exception):
    """A Mach-O file without an arm64 slice; the message names those that it has."""


@dataclass(frozen=True)
class Dependency:
    """A library that an image links to, as written in the image: the library ordinals count these in order."""

    name: str
    weak: bool = False
    reexport: bool = False


@dataclass(frozen=True)
class Segment:
    """Where a part of the file lies in memory; addresses and offsets in bytes, offsets from the slice's start."""

    address: int
    offset: int
    size: int


@dataclass(frozen=True)
class Range:
    """Bytes of the file, from the slice's start; size 0 where there are none."""

    offset: int = 0
    size: int = 0


@dataclass(frozen=True, eq=False)
class Image:
    """The arm64 slice of a Mach-O file; two are the same only if they are one object, read from one file.

    Attributes:
        path: path below the root of the laid-down tree, with slashes.
        file: where it can be read.
        slice: the slice's place in the file.
        filetype: EXECUTE, DYLIB, BUNDLE or another MH_ value.
        install_name: name under which others link to it; None where it is not a dylib.
        dependencies: linked libraries in the order of their ordinals.
        rpaths: LC_RPATH entries in order.
        platform: PLATFORM_ value, or None where the file states none.
        minos: oldest macOS that it is built for.
        sdk: SDK that it was built with.
        segments: file-backed segments.
        exports: exports trie.
        binds: bind opcodes; lazy_binds: those of lazy pointers.
        chained: chained fixups, None where the classic opcodes are used.
        symtab: offset of the symbol table, number of entries, and its strings, for images without a trie.
    """

    path: str
    file: Path
    slice: Range
    filetype: int
    install_name: str | None
    dependencies: tuple[Dependency, ...]
    rpaths: tuple[str, ...]
    platform: int | None
    minos: Version | None
    sdk: Version | None
    segments: tuple[Segment, ...]
    exports: Range | None
    binds: Range
    lazy_binds: Range
    chained: Range | None
    symtab: tuple[Range, Range] | None

    def read(self, part: Range) -> bytes:
        """Bytes of a part of the slice.

        Raises:
            MalformedError: the part is not inside the slice.
        """
        if part.offset + part.size > self.slice.size:
            raise MalformedError(f"a table of {part.size} bytes at {part.offset} is not inside the file")
        if part.size > MAX_TABLE:
            raise MalformedError(f"a table of {part.size} bytes is larger than the {MAX_TABLE} that are looked into")
        with self.file.open("rb") as file:
            file.seek(self.slice.offset + part.offset)
            data = file.read(part.size)
        if len(data) != part.size:
            raise MalformedError("the file ended while it was read")
        return data

    def at_address(self, address: int, size: int) -> bytes:
        """Bytes that lie at an address once the image is loaded (without fixups).

        Raises:
            MalformedError: no segment of the file has them.
        """
        for segment in self.segments:
            if segment.address <= address and address + size <= segment.address + segment.size:
                return self.read(Range(segment.offset + address - segment.address, size))
        raise MalformedError(f"no segment holds the {size} bytes at {address:#x}")


def is_macho(head: bytes) -> bool:
    """Whether a file that starts with these bytes (8 or more) is a Mach-O file, thin or fat."""
    if head[:4] in _THIN_MAGICS:
        return True
    if len(head) < _FAT_HEADER.size:
        return False
    magic, count = _FAT_HEADER.unpack_from(head)
    # Java classes have the same magic, and their version, 45 or more, where the number of slices stands.
    return magic in _FAT_MAGICS and 0 < count <= MAX_SLICES


def read(file: Path, path: str) -> Image:
    """Read header and load commands of a file's arm64 slice.

    Args:
        file: where it lies.
        path: its path in the tree, for the result.

    Raises:
        MalformedError: it is damaged, too large or not a regular file.
        NoArm64Error: it has no arm64 slice.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW)
        with os.fdopen(descriptor, "rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise MalformedError("not a regular file")
            if status.st_size > MAX_FILE:
                raise MalformedError(f"{status.st_size} bytes are more than the {MAX_FILE} that are looked into")
            part = _arm64_slice(stream, status.st_size)
            header, size = _header(stream, part)
    except OSError as error:
        raise MalformedError(f"cannot be read: {error.strerror}") from error
    return _image(file, path, Range(part.offset, size), header)


def _arm64_slice(stream: io.BufferedReader, size: int) -> Range:
    head = stream.read(8 + MAX_SLICES * 32)
    if head[:4] in _THIN_MAGICS:
        return Range(0, size)
    if not is_macho(head):
        raise MalformedError("not a Mach-O file")
    magic, count = _FAT_HEADER.unpack_from(head)
    form, entry = (">IIIII", 20) if magic == mach_o.FAT_MAGIC else (">IIQQII", 32)
    if len(head) < 8 + count * entry:
        raise MalformedError("the table of slices is cut off")
    names = []
    for index in range(count):
        cpu, subtype, offset, length, *_ = struct.unpack_from(form, head, 8 + index * entry)
        if cpu == _ARM64 and subtype & 0xFFFFFF != _ARM64E:
            if offset + length > size:
                raise MalformedError(
                    f"the arm64 slice of {length} bytes at {offset} ends after the file ({size} bytes)"
                )
            return Range(offset, length)
        names.append(_cpu_name(cpu))
    raise NoArm64Error(", ".join(names))


def _cpu_name(cpu: int) -> str:
    return _CPU_NAMES.get(cpu, f"CPU type {cpu:#x}")


def _header(stream: io.BufferedReader, part: Range) -> tuple[MachOHeader, int]:
    stream.seek(part.offset)
    start = stream.read(_HEADER_SIZE)
    if start[:4] not in _THIN_MAGICS:
        raise MalformedError("the arm64 slice has no Mach-O header")
    magic, form, endian = _THIN_MAGICS[start[:4]]
    if len(start) < _HEADER_SIZE:
        raise MalformedError("cut off in its header")
    cpu, subtype, _, count, size = struct.unpack_from(f"{endian}5I", start, 4)
    if cpu != _ARM64 or subtype & 0xFFFFFF == _ARM64E:
        raise NoArm64Error(_cpu_name(cpu))
    if size > MAX_COMMANDS or count * 8 > size:
        raise MalformedError(f"{count} load commands in {size} bytes")
    commands = stream.read(size)
    if len(commands) < size:
        raise MalformedError("cut off in its load commands")

    class Parent:
        """What macholib wants to know of the file when it formats an error."""

        filename = "the file"

    try:
        return MachOHeader(Parent(), io.BytesIO(start + commands), 0, part.size, magic, form, endian, True), part.size
    except Exception as error:
        # macholib has no error of its own: a damaged table raises whatever the code in question happens to raise.
        raise MalformedError(f"damaged load commands: {error}") from error


def _image(file: Path, path: str, part: Range, header: MachOHeader) -> Image:
    read = _Commands(part)
    for command, body, data in header.commands:
        reader = _READERS.get(int(command.cmd))
        if reader is not None:
            reader(read, command, body, data)
    for names, most, what in (
        (read.dependencies, MAX_DEPENDENCIES, "libraries that it links to"),
        (read.rpaths, MAX_RPATHS, "search paths"),
    ):
        if len(names) > most:
            raise MalformedError(f"{len(names)} {what} are more than the {most} that are looked into")
    filetype = int(header.header.filetype)
    if filetype == DYLIB and read.install_name is None:
        raise MalformedError("a dylib without an install name")  # dyld: "MH_DYLIB is missing LC_ID_DYLIB"
    return Image(
        path=path,
        file=file,
        slice=part,
        filetype=filetype,
        install_name=read.install_name if filetype == DYLIB else None,
        dependencies=tuple(read.dependencies),
        rpaths=tuple(read.rpaths),
        platform=read.platform,
        minos=read.minos,
        sdk=read.sdk,
        segments=tuple(read.segments),
        exports=read.exports,
        binds=read.binds,
        lazy_binds=read.lazy_binds,
        chained=read.chained,
        symtab=read.symtab,
    )


@dataclass
class _Commands:
    """What the load commands say, gathered one by one; the names are those of Image."""

    part: Range
    install_name: str | None = None
    dependencies: list[Dependency] = field(default_factory=list)
    rpaths: list[str] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    platform: int | None = None
    minos: Version | None = None
    sdk: Version | None = None
    exports: Range | None = None
    binds: Range = Range()
    lazy_binds: Range = Range()
    chained: Range | None = None
    symtab: tuple[Range, Range] | None = None

    def id_dylib(self, command: Any, body: Any, data: bytes) -> None:
        self.install_name = _text(body.name, command, body, data)

    def link(self, command: Any, body: Any, data: bytes) -> None:
        weak, reexport = (int(command.cmd) == kind for kind in (mach_o.LC_LOAD_WEAK_DYLIB, mach_o.LC_REEXPORT_DYLIB))
        self.dependencies.append(Dependency(_text(body.name, command, body, data), weak, reexport))

    def rpath(self, command: Any, body: Any, data: bytes) -> None:
        self.rpaths.append(_text(body.path, command, body, data))

    def segment(self, _command: Any, body: Any, _data: bytes) -> None:
        offset, size = int(body.fileoff), int(body.filesize)
        if offset + size > self.part.size:
            # dyld: "segment load command content extends beyond end of file"
            raise MalformedError(f"a segment of {size} bytes at {offset} ends after the file ({self.part.size} bytes)")
        self.segments.append(Segment(int(body.vmaddr), offset, size))

    def build_version(self, _command: Any, body: Any, _data: bytes) -> None:
        if self.platform != MACOS:  # a file for two platforms at once states its macOS as well
            self.platform = int(body.platform)
            self.minos, self.sdk = _version(int(body.minos)), _version(int(body.sdk))

    def version_min(self, _command: Any, body: Any, _data: bytes) -> None:
        self.platform = MACOS
        self.minos, self.sdk = _version(int(body.version)), _version(int(body.sdk))

    def dyld_info(self, _command: Any, body: Any, _data: bytes) -> None:
        self.binds = Range(int(body.bind_off), int(body.bind_size))
        self.lazy_binds = Range(int(body.lazy_bind_off), int(body.lazy_bind_size))
        if body.export_size:
            self.exports = Range(int(body.export_off), int(body.export_size))

    def exports_trie(self, _command: Any, body: Any, _data: bytes) -> None:
        self.exports = Range(int(body.dataoff), int(body.datasize))

    def chained_fixups(self, _command: Any, body: Any, _data: bytes) -> None:
        self.chained = Range(int(body.dataoff), int(body.datasize))

    def symbol_table(self, _command: Any, body: Any, _data: bytes) -> None:
        entries = Range(int(body.symoff), int(body.nsyms) * 16)
        self.symtab = (entries, Range(int(body.stroff), int(body.strsize)))


_READERS: dict[int, Callable[[_Commands, Any, Any, bytes], None]] = {
    mach_o.LC_ID_DYLIB: _Commands.id_dylib,
    mach_o.LC_LOAD_DYLIB: _Commands.link,
    mach_o.LC_LOAD_WEAK_DYLIB: _Commands.link,
    mach_o.LC_REEXPORT_DYLIB: _Commands.link,
    mach_o.LC_LOAD_UPWARD_DYLIB: _Commands.link,
    mach_o.LC_LAZY_LOAD_DYLIB: _Commands.link,
    mach_o.LC_RPATH: _Commands.rpath,
    mach_o.LC_SEGMENT_64: _Commands.segment,
    mach_o.LC_BUILD_VERSION: _Commands.build_version,
    mach_o.LC_VERSION_MIN_MACOSX: _Commands.version_min,
    mach_o.LC_DYLD_INFO: _Commands.dyld_info,
    mach_o.LC_DYLD_INFO_ONLY: _Commands.dyld_info,
    mach_o.LC_DYLD_EXPORTS_TRIE: _Commands.exports_trie,
    mach_o.LC_DYLD_CHAINED_FIXUPS: _Commands.chained_fixups,
    mach_o.LC_SYMTAB: _Commands.symbol_table,
}


def _text(offset: int, command: object, body: object, data: bytes) -> str:
    """A string of a load command: offset counts from the command's start, the string ends at a zero byte."""
    start = int(offset) - sizeof(command) - sizeof(body)
    if start < 0 or start > len(data):
        raise MalformedError("a load command's text lies outside the command")
    text = data[start:].split(b"\0", 1)[0]
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise MalformedError("a load command's text is not UTF-8") from error


def _version(packed: int) -> Version:
    """A version as load commands pack it: 16 bits, 8 bits, 8 bits."""
    return packed >> 16, packed >> 8 & 0xFF, packed & 0xFF
