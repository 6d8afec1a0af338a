"""Exports and imports: against another reader of the same files, and in forms that no linker at hand writes."""

import struct
from pathlib import Path
from typing import Any

import lief
import pytest

from verify.linkcheck import linkedit, macho
from verify.linkcheck.macho import Image, MalformedError, Range

from .machos import Toolchain, chain

SOURCE = """
int deep(void); int flat(void); extern int maybe(void) __attribute__((weak_import));
int foo(void) { return deep() + flat() + (maybe ? maybe() : 0); }
int foo_with_a_longer_name(void) { return 1; } int fo(void) { return 2; } int other;
"""


@pytest.mark.parametrize("form", [0, 1, 2, 3])
def test_agrees_with_lief(toolchain: Toolchain, tmp_path: Path, form: int) -> None:
    deep = toolchain.build(tmp_path / "libdeep.dylib", "int deep(void) { return 1; }")
    file = toolchain.build(tmp_path / "libfoo.dylib", SOURCE, links=(deep,), options=("-Wl,-undefined,dynamic_lookup",))
    if form:
        chain(file, form=form)
    image = macho.read(file, "libfoo.dylib")
    parsed: Any = lief.MachO.parse(file)
    assert parsed is not None
    binary = parsed.at(0)
    assert [one.name for one in image.dependencies] == [one.name for one in binary.libraries][1:]
    exported = (binary.dyld_exports_trie if form else binary.dyld_info).exports
    names = {one.symbol.name for one in exported}
    exports = linkedit.Exports(image)
    assert names >= {"_foo", "_fo", "_foo_with_a_longer_name", "_other"}
    assert all(exports.find(name) is not None for name in names)
    assert exports.find("_foo_with") is None
    assert exports.find("_f") is None
    if not form:  # lief follows the fixup chains, and these files have none
        weak = lief.MachO.DyldBindingInfo.CLASS.WEAK
        bound = {(one.symbol.name, one.weak_import) for one in binary.dyld_info.bindings if one.binding_class != weak}
        assert {(one.name, one.weak) for one in linkedit.imports(image)} == bound
    flat = {one.name: one for one in linkedit.imports(image) if one.ordinal == linkedit.FLAT_LOOKUP}
    assert set(flat) == {"_flat", "_maybe"}
    assert (flat["_flat"].weak, flat["_maybe"].weak) == (False, True)


def image_of(tmp_path: Path, trie: bytes) -> Image:
    """An image of which only the exports trie exists."""
    file = tmp_path / "trie"
    file.write_bytes(trie)
    size = Range(0, len(trie))
    none = Range()
    return Image("x", file, size, macho.DYLIB, "x", (), (), 1, None, None, (), size, none, none, None, None)


def test_a_trie_with_an_empty_edge(tmp_path: Path) -> None:
    """As in scikit-learn's libomp: where one name starts another, the shorter one's entry hangs on an edge without
    letters. It comes last, for dyld takes the first edge that fits."""
    leaf = bytes([2, 0, 7, 0])
    node = bytes([0, 2]) + b"_b\0" + bytes([24]) + b"\0" + bytes([20])
    trie = (bytes([0, 1]) + b"_a\0" + bytes([6])).ljust(6, b"\0") + node
    trie = trie.ljust(20, b"\0") + leaf + leaf
    exports = linkedit.Exports(image_of(tmp_path, trie))
    assert exports.find("_a") == linkedit.Export(linkedit.SELF, "_a", 7)
    assert exports.find("_a_b") == linkedit.Export(linkedit.SELF, "_a_b", 7)
    assert exports.find("_a_c") is None


def test_a_reexported_symbol_with_another_name(tmp_path: Path) -> None:
    entry = bytes([0x08, 2]) + b"_real\0"
    trie = (bytes([0, 1]) + b"_a\0" + bytes([6])).ljust(6, b"\0") + bytes([len(entry)]) + entry + bytes([0])
    assert linkedit.Exports(image_of(tmp_path, trie)).find("_a") == linkedit.Export(2, "_real")


@pytest.mark.parametrize(
    "trie",
    [
        bytes([0, 1]) + b"\0" + bytes([0]),  # a circle
        bytes([0, 1]) + b"_a\0" + bytes([99]),  # outside
        bytes([0, 1]) + b"_a",  # cut off
        bytes([0x80]),
        bytes([0xFF] * 12),
        bytes([0, 1]) + b"_a\0" + bytes([6, 9, 0, 0]),  # an entry longer than the trie
    ],
)
def test_a_damaged_trie(tmp_path: Path, trie: bytes) -> None:
    with pytest.raises(MalformedError):
        linkedit.Exports(image_of(tmp_path, trie)).find("_a")


def test_without_a_trie_the_symbol_table_counts(toolchain: Toolchain, tmp_path: Path) -> None:
    file = toolchain.build(
        tmp_path / "libfoo.dylib", "int foo(void) { return 1; } static int hidden(void) { return 2; }"
    )
    image = macho.read(file, "libfoo.dylib")
    data = bytearray(file.read_bytes())
    struct.pack_into("<I", data, data.index(struct.pack("<II", 0x80000022, 48)) + 44, 0)  # size of the trie
    file.write_bytes(data)
    stripped = macho.read(file, "libfoo.dylib")
    assert stripped.exports is None
    found, before = linkedit.Exports(stripped).find("_foo"), linkedit.Exports(image).find("_foo")
    assert found == before
    assert linkedit.Exports(stripped).find("_hidden") is None
