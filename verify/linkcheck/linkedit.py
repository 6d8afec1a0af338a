"""The tables that macholib does not decode: exports trie, bind opcodes, chained imports, global symbols.

Each is read as dyld reads it (dyld/common/MachOLoaded.cpp `trieWalk`, mach_o/BindOpcodes.cpp,
mach_o/ChainedFixups.cpp in apple-oss-distributions/dyld); the constants stand in <mach-o/loader.h>, <mach-o/nlist.h>
and <mach-o/fixup-chains.h>. Only what is bound and exported matters here, not the addresses.
"""

import itertools
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from .limits import ExceededError
from .macho import Image, MalformedError

SELF, MAIN_EXECUTABLE, FLAT_LOOKUP, WEAK_LOOKUP = 0, -1, -2, -3
"""Special library ordinals; an ordinal from 1 on is the place of a dependency."""

_MAX_SYMBOLS_SIZE = 64 << 20
_MAX_NODES = 128
"""On the way to a name: dyld's trieWalk keeps as many, to see a circle (MachOLoaded.cpp, visitedNodeOffsets)."""
_MAX_IMPORTS = 500_000
"""Of one image; the largest known one, libtensorflow_cc, has 20,421."""

_FLAG_REEXPORT = 0x08  # EXPORT_SYMBOL_FLAGS_REEXPORT
_FLAG_WEAK_IMPORT = 0x1  # BIND_SYMBOL_FLAGS_WEAK_IMPORT

_DONE, _ORDINAL_IMM, _ORDINAL_ULEB, _SPECIAL_IMM, _SYMBOL = 0x00, 0x10, 0x20, 0x30, 0x40
_TYPE, _ADDEND, _SEGMENT, _ADD_ADDRESS = 0x50, 0x60, 0x70, 0x80
_BIND, _BIND_ADD, _BIND_ADD_SCALED, _BIND_TIMES, _THREADED = 0x90, 0xA0, 0xB0, 0xC0, 0xD0
_BINDS = {_BIND: 0, _BIND_ADD: 1, _BIND_ADD_SCALED: 0, _BIND_TIMES: 2}
"""Opcodes that bind, with the number of ULEBs that follow each."""
_OTHERS = {_DONE: 0, _TYPE: 0, _ADDEND: 1, _SEGMENT: 1, _ADD_ADDRESS: 1}

_N_STAB, _N_TYPE, _N_EXT, _N_SECT = 0xE0, 0x0E, 0x01, 0x0E


@dataclass(frozen=True)
class _Layout:
    """A format of chained imports: bytes of an entry and of its first word, bits of the ordinal, place of the name.

    The bit after the ordinal is the weak-import flag.
    """

    size: int
    word: int
    ordinal: int
    name: int


_FIXUPS_HEADER = struct.Struct("<7I")
_IMPORTS = {1: _Layout(4, 4, 8, 9), 2: _Layout(8, 4, 8, 9), 3: _Layout(16, 8, 16, 32)}
"""DYLD_CHAINED_IMPORT, DYLD_CHAINED_IMPORT_ADDEND, DYLD_CHAINED_IMPORT_ADDEND64."""
_SPECIAL_ORDINALS = 15
"""The highest 15 values of an ordinal are negative numbers."""
_MAX_BITS = 63


@dataclass(frozen=True)
class Import:
    """A symbol that an image binds: its library ordinal, its name, whether it may be missing."""

    ordinal: int
    name: str
    weak: bool


@dataclass(frozen=True)
class Export:
    """What an image says of a symbol that it exports: that it has it, or that a dependency has it.

    Attributes:
        ordinal: dependency that has it, counted from 1; 0 where the image itself does.
        name: the symbol's name there.
        value: first number of the entry: offset from the image's start; 0 for a re-export.
    """

    ordinal: int
    name: str
    value: int = 0


class Exports:
    """The symbols that an image exports, looked up one by one: a trie of a quarter million names is never unfolded."""

    def __init__(self, image: Image) -> None:
        """Read the table.

        Raises:
            MalformedError: it is not inside the file.
        """
        self._path = image.path
        self._broken: ExceededError | None = None
        self._trie = image.read(image.exports) if image.exports else b""
        self._globals: dict[bytes, int] | None = None
        if image.exports is None and image.symtab is not None:
            # "try old slow way": without a trie dyld searches the symbol table (Loader.cpp, hasExportedSymbol).
            self._globals = dict(_global_symbols(image))
        self._known: dict[str, Export | None] = {}
        self._beginnings: dict[str, bool] = {}

    def find(self, name: str) -> Export | None:
        """What the image exports under a name.

        Raises:
            MalformedError: the trie is damaged on the way to the name.
        """
        if name not in self._known:
            key = name.encode(errors="surrogateescape")
            if self._globals is not None:
                value = self._globals.get(key)
                self._known[name] = None if value is None else Export(SELF, name, value)
            else:
                self._known[name] = self._walk(key, name)
        return self._known[name]

    def has_beginning(self, beginning: str) -> bool:
        """Whether a name that the image exports begins so.

        Raises:
            MalformedError: the trie is damaged on the way there.
        """
        key = beginning.encode(errors="surrogateescape")
        if self._globals is not None:
            return any(name.startswith(key) for name in self._globals)
        if beginning not in self._beginnings:
            self._beginnings[beginning] = self._walk(key, beginning, whole=False) is not None
        return self._beginnings[beginning]

    def _walk(self, key: bytes, name: str, *, whole: bool = True) -> Export | None:
        """Follow the trie to a name, or only until all names below begin with it."""
        if self._broken is not None:
            raise self._broken
        try:
            return self._descend(key, name, whole=whole)
        except ExceededError as error:
            # It is this image's fault, not that of the one whose symbols are looked up here.
            self._broken = ExceededError(f"looking names up in {self._path}: {error}")
            raise self._broken from error

    def _descend(self, key: bytes, name: str, *, whole: bool) -> Export | None:
        trie, at, rest = self._trie, 0, key
        if not trie:
            return None
        visited: set[int] = set()
        while at not in visited:
            visited.add(at)
            if len(visited) > _MAX_NODES:
                raise MalformedError("the exports trie is too deep")
            size, start = _uleb(trie, at)
            if not rest and not whole:
                return Export(SELF, name)
            if size and not rest:
                return _terminal(trie, start, start + size, name)
            position = start + size
            if position >= len(trie):
                raise MalformedError("the exports trie points outside itself")
            for _ in range(trie[position]):
                position += 1
                end = trie.find(b"\0", position)
                if end < 0:
                    raise MalformedError("a name in the exports trie does not end")
                child, after = _uleb(trie, end + 1)
                if not whole and rest and trie.startswith(rest, position, end):
                    return Export(SELF, name)
                if rest.startswith(trie[position:end]):  # ld64 writes empty edges too
                    rest, at = rest[end - position :], child
                    break
                position = after - 1
            else:
                return None
            if at >= len(trie):
                raise MalformedError("the exports trie points outside itself")
        raise MalformedError("the exports trie goes in a circle")


@dataclass
class Tables:
    """The tables of images, each read once: checks of several releases share most images."""

    _exports: dict[Image, Exports] = field(default_factory=dict)
    _imports: dict[Image, list[Import]] = field(default_factory=dict)

    def exports(self, image: Image) -> Exports:
        """The exports of an image."""
        if image not in self._exports:
            self._exports[image] = Exports(image)
        return self._exports[image]

    def imports(self, image: Image) -> list[Import]:
        """The symbols that an image binds."""
        if image not in self._imports:
            self._imports[image] = imports(image)
        return self._imports[image]


def imports(image: Image) -> list[Import]:
    """The symbols that an image binds when it is loaded, each once.

    Lazily bound ones are among them: Python and both plugin loaders call dlopen with RTLD_NOW, for which dyld binds
    those too (DyldAPIs.cpp, `allowLazyBinds = ((mode & RTLD_NOW) == 0)`). Weak-bind opcodes are left out: there a
    missing symbol is no error (Loader.cpp, forEachBindTarget: "failures aren't fatal here").

    Raises:
        MalformedError: the tables are damaged.
    """
    if image.chained is not None:
        return _bounded(_chained(image.read(image.chained)))
    parts = (_opcodes(image.read(part), lazy=part is image.lazy_binds) for part in (image.binds, image.lazy_binds))
    return _bounded(itertools.chain.from_iterable(parts))


def _bounded(found: Iterable[Import]) -> list[Import]:
    """Each import once."""
    known: dict[Import, None] = {}
    for one in found:
        known[one] = None
        if len(known) > _MAX_IMPORTS:
            raise MalformedError(f"it binds more than the {_MAX_IMPORTS} symbols that are looked up")
    return list(known)


def _opcodes(data: bytes, *, lazy: bool) -> Iterator[Import]:
    ordinal, weak, symbol = 0, False, ""
    at, end = 0, len(data)
    while at < end:
        opcode, immediate = data[at] & 0xF0, data[at] & 0x0F
        at += 1
        if opcode == _DONE and not lazy:  # each lazy pointer's opcodes end with one
            return
        if opcode == _ORDINAL_IMM:
            ordinal = immediate
        elif opcode == _ORDINAL_ULEB:
            ordinal, at = _uleb(data, at)
        elif opcode == _SPECIAL_IMM:
            ordinal = immediate - 16 if immediate else 0
        elif opcode == _SYMBOL:
            stop = data.find(b"\0", at)
            if stop < 0:
                raise MalformedError("a symbol name in the bind opcodes does not end")
            symbol, weak, at = _name(data[at:stop]), bool(immediate & _FLAG_WEAK_IMPORT), stop + 1
        else:
            for _ in range(_numbers_after(opcode, immediate)):
                _, at = _uleb(data, at)
            if opcode in _BINDS:
                yield Import(ordinal, symbol, weak)


def _numbers_after(opcode: int, immediate: int) -> int:
    """How many ULEBs follow an opcode that changes neither library nor symbol."""
    if opcode == _THREADED:
        return 1 if immediate == 0 else 0  # 0 sets the size of a table, 1 applies it
    if opcode in _BINDS:
        return _BINDS[opcode]
    if opcode in _OTHERS:
        return _OTHERS[opcode]
    raise MalformedError(f"unknown bind opcode {opcode:#x}")


def _chained(data: bytes) -> Iterator[Import]:
    if len(data) < _FIXUPS_HEADER.size:
        raise MalformedError("the chained fixups are cut off")
    version, _, imports_at, symbols_at, count, form, packing = _FIXUPS_HEADER.unpack_from(data)
    if version != 0:
        raise MalformedError(f"chained fixups of unknown version {version}")
    layout = _IMPORTS.get(form)
    if layout is None:
        raise MalformedError(f"chained imports of unknown format {form}")
    if imports_at + count * layout.size > len(data) or symbols_at > len(data):
        raise MalformedError("the chained imports are not inside the fixups")
    symbols = data[symbols_at:]
    if packing == 1:
        symbols = _unpack(symbols)
    elif packing != 0:
        raise MalformedError(f"symbol names of unknown format {packing}")
    for at in range(imports_at, imports_at + count * layout.size, layout.size):
        packed = int.from_bytes(data[at : at + layout.word], "little")
        ordinal = packed & (1 << layout.ordinal) - 1
        if ordinal > (1 << layout.ordinal) - 1 - _SPECIAL_ORDINALS:
            ordinal -= 1 << layout.ordinal
        name_at = packed >> layout.name
        end = symbols.find(b"\0", name_at)
        if end < 0:
            raise MalformedError("a chained import's name lies outside the names")
        yield Import(ordinal, _name(symbols[name_at:end]), bool(packed >> layout.ordinal & 1))


def _unpack(data: bytes) -> bytes:
    try:
        unpacker = zlib.decompressobj()
        unpacked = unpacker.decompress(data, _MAX_SYMBOLS_SIZE)
    except zlib.error as error:
        raise MalformedError(f"the packed symbol names are damaged: {error}") from error
    if unpacker.unconsumed_tail:
        raise MalformedError(f"the packed symbol names hold more than {_MAX_SYMBOLS_SIZE} bytes")
    return unpacked


def _terminal(trie: bytes, at: int, end: int, name: str) -> Export:
    if end > len(trie):
        raise MalformedError("an entry of the exports trie is cut off")
    flags, at = _uleb(trie, at)
    value, at = _uleb(trie, at)
    if not flags & _FLAG_REEXPORT:
        return Export(SELF, name, value)
    stop = trie.find(b"\0", at)
    if stop < 0:
        raise MalformedError("a re-exported name does not end")
    return Export(value, _name(trie[at:stop]) or name)


def _global_symbols(image: Image) -> Iterator[tuple[bytes, int]]:
    assert image.symtab is not None
    entries, strings = image.read(image.symtab[0]), image.read(image.symtab[1])
    base = image.segments[0].address if image.segments else 0
    for at in range(0, len(entries), 16):
        start, kind, _, _, value = struct.unpack_from("<IBBHQ", entries, at)
        if not kind & _N_STAB and kind & _N_EXT and kind & _N_TYPE == _N_SECT:
            end = strings.find(b"\0", start)
            if end >= 0:
                yield strings[start:end], value - base


def _name(raw: bytes) -> str:
    return raw.decode(errors="surrogateescape")


def _uleb(data: bytes, at: int) -> tuple[int, int]:
    """Read a ULEB128 number; returns it and the place after it."""
    value = shift = 0
    while at < len(data):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
        shift += 7
        if shift > _MAX_BITS:
            raise MalformedError("a number is longer than 64 bits")
    raise MalformedError("a number is cut off")
