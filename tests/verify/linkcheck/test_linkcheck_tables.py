"""Exports and imports: against another reader of the same files, and in forms that no linker at hand writes."""

import struct
import zlib
from dataclasses import replace
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


BASE = 0x100000000


def image_with(tmp_path: Path, **tables: bytes) -> Image:
    """An image of which only some tables exist, by their names in Image; `entries` and `strings` are the symbols'."""
    file = tmp_path / "tables"
    file.write_bytes(b"".join(tables.values()))
    places: dict[str, Any] = {}
    at = 0
    for name, data in tables.items():
        places[name] = Range(at, len(data))
        at += len(data)
    if "entries" in places:
        places["symtab"] = (places.pop("entries"), places.pop("strings"))
    none, segments = Range(), (macho.Segment(BASE, 0, at),)
    image = Image(
        "x", file, Range(0, at), macho.DYLIB, "x", (), (), 1, None, None, segments, None, none, none, None, None
    )
    return replace(image, **places)


def image_of(tmp_path: Path, trie: bytes) -> Image:
    """An image of which only the exports trie exists."""
    return image_with(tmp_path, exports=trie)


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


def test_whether_a_name_begins_so(tmp_path: Path) -> None:
    """Within an edge, at the end of one, and on an edge without letters."""
    leaf = bytes([2, 0, 7, 0])
    node = bytes([0, 2]) + b"_b_c\0" + bytes([24]) + b"\0" + bytes([24])
    trie = (bytes([0, 1]) + b"_TF\0" + bytes([7])).ljust(7, b"\0") + node
    trie = trie.ljust(24, b"\0") + leaf
    exports = linkedit.Exports(image_of(tmp_path, trie))
    assert [one for one in ("_T", "_TF", "_TF_", "_TF_b_", "_TF_b_c") if not exports.has_beginning(one)] == []
    assert [one for one in ("_F", "_TFX", "_TF_a", "_TF_b_c_", "x") if exports.has_beginning(one)] == []
    assert not linkedit.Exports(image_of(tmp_path, b"")).has_beginning("_")
    with pytest.raises(MalformedError):
        linkedit.Exports(image_of(tmp_path, bytes([0, 1]) + b"_a\0" + bytes([99]))).has_beginning("_ab")


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


def test_without_a_trie_names_of_the_symbol_table_begin_so(tmp_path: Path) -> None:
    entries = struct.pack("<IBBHQ", 0, 0x0F, 1, 0, BASE)
    exports = linkedit.Exports(image_with(tmp_path, exports=b"", entries=entries, strings=b"_TF_New\0"))
    assert not exports.has_beginning("_TF_")
    exports = linkedit.Exports(replace(image_with(tmp_path, entries=entries, strings=b"_TF_New\0"), exports=None))
    assert (exports.has_beginning("_TF_"), exports.has_beginning("_TFX")) == (True, False)


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


def test_an_edge_may_lead_far_and_others_stand_before_it(tmp_path: Path) -> None:
    """Numbers of two bytes: places after the 127th."""
    root = bytes([0, 3]) + b"_x\0" + bytes([0x85, 0x01]) + b"_ab\0" + bytes([0x80, 0x01]) + b"_a\0" + bytes([0x85, 1])
    trie = root.ljust(128, b"\0") + bytes([3, 0, 0x81, 0x01, 0]) + bytes([2, 0, 9])
    exports = linkedit.Exports(image_of(tmp_path, trie))
    assert exports.find("_ab") == linkedit.Export(linkedit.SELF, "_ab", 129)
    assert exports.find("_a") == linkedit.Export(linkedit.SELF, "_a", 9)  # its entry is the last of the trie
    assert exports.find("_y") is None


@pytest.mark.parametrize(
    ("flags", "reexported"),
    [(0, False), (1, False), (2, False), (4, False), (0x10, False), (0x08, True), (0x0C, True), (0x18, True)],
)
def test_one_flag_tells_a_reexport(tmp_path: Path, flags: int, reexported: bool) -> None:
    entry = bytes([flags, 3, 0])
    trie = (bytes([0, 1]) + b"_a\0" + bytes([6])) + bytes([len(entry)]) + entry + b"\0"
    found = linkedit.Exports(image_of(tmp_path, trie)).find("_a")
    assert found == (linkedit.Export(3, "_a") if reexported else linkedit.Export(linkedit.SELF, "_a", 3))


@pytest.mark.parametrize(
    ("trie", "said"),
    [
        (bytes([0, 1]) + b"\0" + bytes([0]), "goes in a circle"),
        (bytes([0, 1]) + b"_a\0" + bytes([6]), "points outside itself"),  # just behind the end
        (bytes([0, 1]) + b"_a", "does not end"),
        (bytes([0]), "points outside itself"),
        (bytes([0x80]), "is cut off"),
        (bytes([0xFF] * 9 + [0x81, 0]), "longer than 64 bits"),
        (bytes([0xFF] * 9 + [0x01, 0]), "points outside itself"),  # the largest number that is none too many
        (bytes([0, 1]) + b"_a\0" + bytes([6, 3, 0, 7]), "is cut off"),  # an entry longer than the trie by one
        (bytes([0, 1]) + b"_a\0" + bytes([6, 4, 8, 1]) + b"_b", "re-exported name does not end"),
    ],
)
def test_what_is_wrong_with_a_damaged_trie(tmp_path: Path, trie: bytes, said: str) -> None:
    with pytest.raises(MalformedError, match=said):
        linkedit.Exports(image_of(tmp_path, trie)).find("_a")


STRINGS = b"\0_a\0_b\0_open"


@pytest.mark.parametrize(
    ("start", "kind", "name"),
    [
        (1, 0x0F, "_a"),
        (4, 0x0F, "_b"),
        (1, 0x1F, "_a"),
        (1, 0x0E, None),  # not external
        (1, 0x01, None),  # undefined
        (1, 0x0B, None),  # indirect
        (1, 0x03, None),  # absolute
        (1, 0x2F, None),  # of a debugger, as the next two
        (1, 0x4F, None),
        (1, 0x8F, None),
        (7, 0x0F, None),  # its name does not end
        (len(STRINGS), 0x0F, None),
        (len(STRINGS) + 1, 0x0F, None),
    ],
)
def test_entries_of_a_symbol_table(tmp_path: Path, start: int, kind: int, name: str | None) -> None:
    entries = bytes(16) + struct.pack("<IBBHQ", start, kind, 1, 0, BASE + 5)
    exports = linkedit.Exports(image_with(tmp_path, entries=entries, strings=STRINGS))
    found = {one: exports.find(one) for one in ("_a", "_b", "_open", "")}
    expected = {} if name is None else {name: linkedit.Export(linkedit.SELF, name, 5)}
    assert {one: export for one, export in found.items() if export} == expected


@pytest.mark.parametrize(
    ("code", "bound"),
    [
        (b"", []),
        (b"\x90", [(0, "", False)]),
        (b"\x13\x40_a\0\x90", [(3, "_a", False)]),
        (b"\x1f\x40_a\0\x90", [(15, "_a", False)]),
        (b"\x20\x80\x01\x40_a\0\x90", [(128, "_a", False)]),
        (b"\x20\x80\x80\x01\x40_a\0\x90", [(1 << 14, "_a", False)]),
        (b"\x20\xff\x7f\x40_a\0\x90", [((1 << 14) - 1, "_a", False)]),
        (b"\x11\x30\x40_a\0\x90", [(linkedit.SELF, "_a", False)]),
        (b"\x3f\x40_a\0\x90", [(linkedit.MAIN_EXECUTABLE, "_a", False)]),
        (b"\x3e\x40_a\0\x90", [(linkedit.FLAT_LOOKUP, "_a", False)]),
        (b"\x3d\x40_a\0\x90", [(linkedit.WEAK_LOOKUP, "_a", False)]),
        (b"\x11\x41_a\0\x90", [(1, "_a", True)]),
        (b"\x11\x49_a\0\x90", [(1, "_a", True)]),  # non-weak definition as well
        (b"\x11\x48_a\0\x90", [(1, "_a", False)]),
        (b"\x11\x42_a\0\x90", [(1, "_a", False)]),
        (b"\x11\x40\0\x90", [(1, "", False)]),
        (b"\x11\x40_a\0\x90\x40_b\0\x90\x12\x90", [(1, "_a", False), (1, "_b", False), (2, "_b", False)]),
        (b"\x11\x40_a\0\x90\x90", [(1, "_a", False)]),  # each once
        (b"\x11\x40_a\0\x90\0\x12\x90", [(1, "_a", False)]),  # done is the end
        (b"\x11\x40_a\0\x51\x90", [(1, "_a", False)]),  # a type
        (b"\x11\x40_a\0\x60\x00\x90", [(1, "_a", False)]),  # an addend
        (b"\x11\x40_a\0\x72\x80\x01\x90", [(1, "_a", False)]),  # a segment
        (b"\x11\x40_a\0\x80\x00\x90", [(1, "_a", False)]),  # to another address
        (b"\x11\x40_a\0\xa0\x00\x12\x90", [(1, "_a", False), (2, "_a", False)]),
        (b"\x11\x40_a\0\xb2\x12\x90", [(1, "_a", False), (2, "_a", False)]),
        (b"\x11\x40_a\0\xc0\x00\x00\x12\x90", [(1, "_a", False), (2, "_a", False)]),
        (b"\x11\x40_a\0\xd0\x00\x90", [(1, "_a", False)]),  # a table's size
        (b"\x11\x40_a\0\xd1\x12\x90", [(2, "_a", False)]),  # and its use
        (b"\x11\x40_a\0\xd2\x12\x90", [(2, "_a", False)]),
    ],
)
def test_bind_opcodes(tmp_path: Path, code: bytes, bound: list[tuple[int, str, bool]]) -> None:
    expected = [linkedit.Import(*one) for one in bound]
    assert linkedit.imports(image_with(tmp_path, binds=code)) == expected


def test_done_ends_each_lazy_pointer_and_not_their_table(tmp_path: Path) -> None:
    image = image_with(tmp_path, binds=b"\x11\x40_a\0\x90\0\x90", lazy_binds=b"\x11\x40_a\0\x90\0\x12\x40_b\0\x90\0")
    assert [(one.ordinal, one.name) for one in linkedit.imports(image)] == [(1, "_a"), (2, "_b")]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (b"\xe0", "unknown bind opcode 0xe0"),
        (b"\xf1", "unknown bind opcode 0xf0"),
        (b"\x40_a", "does not end"),
        (b"\x20", "cut off"),
        (b"\x20\x80", "cut off"),
        (b"\xc0\x00", "cut off"),
    ],
)
def test_damaged_bind_opcodes(tmp_path: Path, code: bytes, said: str) -> None:
    with pytest.raises(MalformedError, match=said):
        linkedit.imports(image_with(tmp_path, binds=code))


def fixups(
    *entries: bytes,
    form: int = 1,
    names: bytes = b"\0_a\0_b\0",
    version: int = 0,
    packing: int = 0,
    count: int | None = None,
) -> bytes:
    """Chained fixups: header, names, then the imports, which end where the fixups do."""
    count = len(entries) if count is None else count
    return struct.pack("<7I", version, 0, 28 + len(names), 28, count, form, packing) + names + b"".join(entries)


def entry(form: int, ordinal: int, name_at: int, weak: bool = False) -> bytes:
    if form == 3:
        return struct.pack("<IIQ", ordinal | weak << 16, name_at, 0xFFFF)
    return struct.pack("<I", ordinal | weak << 8 | name_at << 9) + (b"\xff" * 4 if form == 2 else b"")


@pytest.mark.parametrize(
    ("form", "ordinal", "meant"),
    [
        *((form, ordinal, ordinal) for form in (1, 2, 3) for ordinal in (0, 1, 127, 128, 240)),
        *((form, 256 + ordinal, ordinal) for form in (1, 2) for ordinal in (-1, -2, -3, -15)),
        *((3, ordinal, ordinal) for ordinal in (255, 256, 0x7FFF, 0xFFF0)),
        *((3, 0x10000 + ordinal, ordinal) for ordinal in (-1, -2, -3, -15)),
    ],
)
def test_ordinals_of_chained_imports(tmp_path: Path, form: int, ordinal: int, meant: int) -> None:
    chained = fixups(entry(form, ordinal, 1), entry(form, 2, 4, weak=True), entry(form, 2, 4, weak=True), form=form)
    found = linkedit.imports(image_with(tmp_path, chained=chained))
    assert found == [linkedit.Import(meant, "_a", False), linkedit.Import(2, "_b", True)]


@pytest.mark.parametrize(
    ("chained", "said"),
    [
        (fixups(names=b""), None),  # nothing but the header
        (fixups(names=b"")[:-1], "are cut off"),
        (fixups(version=1), "unknown version 1"),
        (fixups(form=0), "unknown format 0"),
        (fixups(form=4), "unknown format 4"),
        (fixups(entry(1, 1, 1)), None),
        (fixups(entry(1, 1, 1), count=2), "not inside the fixups"),
        (fixups(entry(2, 1, 1), form=2)[:-1], "not inside the fixups"),
        (fixups(entry(3, 1, 1), form=3)[:-1], "not inside the fixups"),
        (struct.pack("<7I", 0, 0, 28, 28, 0, 1, 0), None),
        (struct.pack("<7I", 0, 0, 28, 29, 0, 1, 0), "not inside the fixups"),
        (fixups(packing=2), "unknown format 2"),
        (fixups(packing=1), "damaged"),
        (struct.pack("<7I", 0, 0, 28, 32, 1, 1, 0) + entry(1, 1, 1) + b"\0_a", "outside the names"),
        (fixups(entry(1, 1, 1 << 20)), "outside the names"),
    ],
)
def test_damaged_chained_imports(tmp_path: Path, chained: bytes, said: str | None) -> None:
    image = image_with(tmp_path, chained=chained)
    if said is None:
        linkedit.imports(image)
    else:
        with pytest.raises(MalformedError, match=said):
            linkedit.imports(image)


def test_packed_names_do_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linkedit, "_MAX_SYMBOLS_SIZE", 1000)
    for size, fits in ((1000, True), (1001, False)):
        names = zlib.compress((b"\0_a\0" + bytes(1001))[:size])
        chained = struct.pack("<7I", 0, 0, 28, 32, 1, 1, 1) + entry(1, 1, 1) + names
        image = image_with(tmp_path, chained=chained)
        if fits:
            assert linkedit.imports(image) == [linkedit.Import(1, "_a", False)]
        else:
            with pytest.raises(MalformedError, match="more than 1000 bytes"):
                linkedit.imports(image)


@pytest.mark.parametrize(("form", "place"), [(1, 0x7FFF00), (2, 0x7FFF00), (3, 0x1000001)])
def test_names_may_lie_far_into_their_table(tmp_path: Path, form: int, place: int) -> None:
    import_, names = entry(form, 1, place), zlib.compress(bytes(place) + b"_a\0", 1)
    chained = struct.pack("<7I", 0, 0, 28, 28 + len(import_), 1, form, 1) + import_ + names
    assert linkedit.imports(image_with(tmp_path, chained=chained)) == [linkedit.Import(1, "_a", False)]
