"""Headers and load commands, from bytes as no linker at hand writes them: each limit from both sides."""

import os
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from verify.linkcheck import macho
from verify.linkcheck.macho import Dependency, Image, MalformedError, NoArm64Error, Range, Segment
from verify.macos import Version

from .machos import (
    ARM64,
    LC_DYLD_CHAINED_FIXUPS,
    LC_DYLD_EXPORTS_TRIE,
    LC_DYLD_INFO,
    LC_DYLD_INFO_ONLY,
    LC_ID_DYLIB,
    LC_LAZY_LOAD_DYLIB,
    LC_LOAD_DYLIB,
    LC_LOAD_UPWARD_DYLIB,
    LC_LOAD_WEAK_DYLIB,
    LC_REEXPORT_DYLIB,
    LC_SYMTAB,
    LC_UUID,
    LC_VERSION_MIN_MACOSX,
    X86_64,
    built_for,
    command,
    linked,
    rpath,
    segment,
    thin,
)

LITTLE_32, BIG_32, BIG_64 = b"\xce\xfa\xed\xfe", b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf"
NAMED = linked("@rpath/x", LC_ID_DYLIB)


def parse(tmp_path: Path, data: bytes) -> Image:
    file = tmp_path / "file"
    file.write_bytes(data)
    return macho.read(file, "x")


def table(*slices: tuple[int, int, int, int], wide: bool = False) -> bytes:
    """The head of a fat file: CPU type, subtype, place and size of each slice."""
    if wide:
        head = struct.pack(">II", 0xCAFEBABF, len(slices))
        return head + b"".join(struct.pack(">IIQQII", *one, 14, 0) for one in slices)
    return struct.pack(">II", 0xCAFEBABE, len(slices)) + b"".join(struct.pack(">5I", *one, 14) for one in slices)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\xcf\xfa\xed\xfe", True),
        (LITTLE_32, True),
        (BIG_32, True),
        (BIG_64, True),
        (b"\xcf\xfa\xed", False),
        (struct.pack(">II", 0xCAFEBABE, 1), True),
        (struct.pack(">II", 0xCAFEBABF, 1), True),
        (struct.pack(">II", 0xCAFEBABE, 32), True),
        (struct.pack(">II", 0xCAFEBABE, 33), False),
        (struct.pack(">II", 0xCAFEBABE, 0), False),
        (struct.pack(">II", 0xCAFEBABE, 1)[:7], False),
        (struct.pack(">II", 0xCAFEBABE, 61), False),  # a Java class
        (struct.pack(">II", 0xCAFEBABD, 1), False),
        (b"", False),
    ],
)
def test_what_is_looked_into(head: bytes, expected: bool) -> None:
    assert macho.is_macho(head) is expected


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("before", [0, 1, 31])
def test_the_arm64_slice_of_a_fat_file(tmp_path: Path, wide: bool, before: int) -> None:
    """Wherever it stands in the table; and it may end with the file, not behind it."""
    inner = thin(NAMED)
    others = [(X86_64, 3, 4096, 1)] * before
    data = table(*others, (ARM64, 0, 4096, len(inner)), wide=wide).ljust(4096, b"\0") + inner
    assert parse(tmp_path, data).slice == Range(4096, len(inner))
    with pytest.raises(MalformedError, match="ends after the file"):
        parse(tmp_path, data[:-1])


@pytest.mark.parametrize(("wide", "cut_off"), [(False, 8 + 2 * 20), (True, 8 + 2 * 32)])
def test_a_table_of_slices_that_is_cut_off(tmp_path: Path, wide: bool, cut_off: int) -> None:
    data = table((X86_64, 3, 0, 0), (7, 3, 0, 0), wide=wide)
    assert len(data) == cut_off
    with pytest.raises(NoArm64Error, match=r"^x86_64, i386$"):
        parse(tmp_path, data)
    with pytest.raises(MalformedError, match="table of slices is cut off"):
        parse(tmp_path, data[:-1])


@pytest.mark.parametrize(
    ("cpu", "subtype", "name"),
    [
        (7, 3, "i386"),
        (X86_64, 3, "x86_64"),
        (12, 9, "arm"),
        (18, 0, "ppc"),
        (0x01000012, 0, "ppc64"),
        (ARM64, 2, "arm64e"),
        (ARM64, 0x80000002, "arm64e"),
        (0x63, 2, "CPU type 0x63"),
        (X86_64, 2, "x86_64"),
    ],
)
def test_other_processors_are_named(tmp_path: Path, cpu: int, subtype: int, name: str) -> None:
    with pytest.raises(NoArm64Error, match=f"^{name}$"):
        parse(tmp_path, thin(NAMED, cpu=cpu, subtype=subtype))
    with pytest.raises(NoArm64Error, match=f"^{name}$"):
        parse(tmp_path, table((cpu, subtype, 0, 0)))


@pytest.mark.parametrize("subtype", [0, 1, 3, 0x80000000])
def test_other_arm64_files_are_read(tmp_path: Path, subtype: int) -> None:
    inner = thin(NAMED, subtype=subtype)
    assert parse(tmp_path, inner).slice == Range(0, len(inner))
    data = table((ARM64, subtype, 32, len(inner))).ljust(32, b"\0") + inner
    assert parse(tmp_path, data).slice == Range(32, len(inner))


@pytest.mark.parametrize(("magic", "cpu", "name"), [(LITTLE_32, 7, "i386"), (BIG_32, 18, "ppc"), (BIG_64, 7, "i386")])
def test_other_headers_are_understood(tmp_path: Path, magic: bytes, cpu: int, name: str) -> None:
    with pytest.raises(NoArm64Error, match=f"^{name}$"):
        parse(tmp_path, thin(NAMED, magic=magic, cpu=cpu))


WHOLE = thin(NAMED)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not a Mach-O file"),
        (b"#!/bin/sh\n" * 9, "not a Mach-O file"),
        (WHOLE[:31], "cut off in its header"),
        (thin()[:32], "a dylib without an install name"),
        (WHOLE[:-1], "cut off in its load commands"),
        (table((ARM64, 0, 64, 64)).ljust(128, b"\0"), "the arm64 slice has no Mach-O header"),
        (WHOLE[:16] + struct.pack("<II", 2, 8) + WHOLE[24:], "2 load commands in 8 bytes"),
        (WHOLE[:16] + struct.pack("<II", 1, 7) + WHOLE[24:], "1 load commands in 7 bytes"),
        (WHOLE[:16] + struct.pack("<II", 1, 8) + WHOLE[24:], "damaged load commands"),
        (thin(NAMED, NAMED), "damaged load commands"),
    ],
)
def test_what_is_wrong_with_a_damaged_file(tmp_path: Path, data: bytes, said: str) -> None:
    with pytest.raises(MalformedError, match=said):
        parse(tmp_path, data)


@pytest.mark.parametrize(
    ("place", "text", "expected"),
    [
        (24, b"@rpath/x\0rest", "@rpath/x"),
        (32, b"@rpath/x\0", ""),
        (24 + 16, b"@rpath/x\0\0\0\0\0\0\0", ""),  # its end
        (24 + 17, b"@rpath/x\0\0\0\0\0\0\0", None),
        (23, b"@rpath/x\0", None),
        (24, b"\xff\xfe\0", None),
    ],
)
def test_a_text_lies_inside_its_command(tmp_path: Path, place: int, text: bytes, expected: str | None) -> None:
    data = thin(command(LC_ID_DYLIB, struct.pack("<4I", place, 0, 0, 0) + text))
    if expected is None:
        with pytest.raises(MalformedError, match="load command's text"):
            parse(tmp_path, data)
    else:
        assert parse(tmp_path, data).install_name == expected


@pytest.mark.parametrize(("size", "read"), [(4 << 20, True), ((4 << 20) + 8, False)])
def test_a_table_of_commands_has_a_limit(tmp_path: Path, size: int, read: bool) -> None:
    data = thin(NAMED, command(0x7F, bytes(size - len(NAMED) - 8)))  # of a kind that nobody knows
    if read:
        assert parse(tmp_path, data).install_name == "@rpath/x"
    else:
        with pytest.raises(MalformedError, match="2 load commands in"):
            parse(tmp_path, data)


@pytest.mark.parametrize(("size", "read"), [(2 << 30, True), ((2 << 30) + 1, False)])
def test_a_file_has_a_limit(tmp_path: Path, size: int, read: bool) -> None:
    file = tmp_path / "file"
    file.write_bytes(WHOLE)
    os.truncate(file, size)
    if read:
        assert macho.read(file, "x").slice == Range(0, size)
    else:
        with pytest.raises(MalformedError, match="are more than"):
            macho.read(file, "x")


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(WHOLE)
    (tmp_path / "link").symlink_to("file")
    with pytest.raises(MalformedError, match="cannot be read: Too many levels"):
        macho.read(tmp_path / "link", "x")
    with pytest.raises(MalformedError, match="cannot be read: No such file"):
        macho.read(tmp_path / "gone", "x")
    with pytest.raises(MalformedError, match="not a regular file"):
        macho.read(Path(os.devnull), "x")


def test_links_in_the_order_of_their_ordinals(tmp_path: Path) -> None:
    kinds = (LC_LOAD_DYLIB, LC_LOAD_WEAK_DYLIB, LC_REEXPORT_DYLIB, LC_LOAD_UPWARD_DYLIB, LC_LAZY_LOAD_DYLIB)
    load = [linked(f"lib{number}", kind) for number, kind in enumerate(kinds)]
    image = parse(tmp_path, thin(NAMED, rpath("@loader_path"), *load, rpath("/second")))
    assert image.dependencies == (
        Dependency("lib0", weak=False, reexport=False),
        Dependency("lib1", weak=True, reexport=False),
        Dependency("lib2", weak=False, reexport=True),
        Dependency("lib3", weak=False, reexport=False),
        Dependency("lib4", weak=False, reexport=False),
    )
    assert image.rpaths == ("@loader_path", "/second")


def test_only_a_dylib_has_an_install_name(tmp_path: Path) -> None:
    assert parse(tmp_path, thin(NAMED)).install_name == "@rpath/x"
    assert parse(tmp_path, thin(NAMED, filetype=macho.BUNDLE)).install_name is None
    assert parse(tmp_path, thin(filetype=macho.BUNDLE)).install_name is None


def minimum(version: int, sdk: int) -> bytes:
    return command(LC_VERSION_MIN_MACOSX, struct.pack("<II", version, sdk))


IOS, CATALYST = 2, 6


@pytest.mark.parametrize(
    ("load", "platform", "minos", "sdk"),
    [
        ((), None, None, None),
        ((built_for(1, 0x0E0401, 0x0F0203),), 1, (14, 4, 1), (15, 2, 3)),
        ((built_for(1, 0x00FFFFFF, 0x01000000),), 1, (255, 255, 255), (256, 0, 0)),
        ((minimum(0x0A0F07, 0x0B0108),), 1, (10, 15, 7), (11, 1, 8)),
        ((built_for(IOS, 0x100000, 0x110000),), IOS, (16, 0, 0), (17, 0, 0)),
        ((built_for(1, 0x0E0000, 0x0E0000), built_for(CATALYST, 0x110000, 0x110000)), 1, (14, 0, 0), (14, 0, 0)),
        ((built_for(CATALYST, 0x110000, 0x110000), built_for(1, 0x0E0000, 0x0E0000)), 1, (14, 0, 0), (14, 0, 0)),
    ],
)
def test_the_platform(
    tmp_path: Path,
    load: tuple[bytes, ...],
    platform: int | None,
    minos: Version | None,
    sdk: Version | None,
) -> None:
    image = parse(tmp_path, thin(NAMED, *load))
    assert (image.platform, image.minos, image.sdk) == (platform, minos, sdk)


def test_where_the_tables_lie(tmp_path: Path) -> None:
    info = struct.pack("<10I", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
    symbols = command(LC_SYMTAB, struct.pack("<4I", 100, 3, 200, 50))
    for kind in (LC_DYLD_INFO, LC_DYLD_INFO_ONLY):
        image = parse(tmp_path, thin(NAMED, command(kind, info), symbols, command(LC_UUID, bytes(16))))
        assert (image.binds, image.lazy_binds, image.exports) == (Range(3, 4), Range(7, 8), Range(9, 10))
        assert image.symtab == (Range(100, 48), Range(200, 50))
        assert image.chained is None
    without = parse(tmp_path, thin(NAMED, command(LC_DYLD_INFO_ONLY, info[:-4] + bytes(4))))
    assert (without.exports, without.symtab) == (None, None)
    newer = [command(LC_DYLD_EXPORTS_TRIE, struct.pack("<II", 1, 2))]
    newer += [command(LC_DYLD_CHAINED_FIXUPS, struct.pack("<II", 3, 4))]
    image = parse(tmp_path, thin(NAMED, *newer))
    assert (image.exports, image.chained, image.binds, image.lazy_binds) == (Range(1, 2), Range(3, 4), Range(), Range())


def test_bytes_at_an_address(tmp_path: Path) -> None:
    load = (NAMED, segment(0x1000, 0, 512), segment(0x3000, 512, 16))
    image = parse(tmp_path, thin(*load).ljust(512, b"\0") + bytes(range(16)))
    assert image.segments == (Segment(0x1000, 0, 512), Segment(0x3000, 512, 16))
    assert image.at_address(0x1000, 4) == WHOLE[:4]
    assert image.at_address(0x3000, 16) == bytes(range(16))
    assert image.at_address(0x300C, 4) == bytes(range(12, 16))
    for address, size in ((0x0FFF, 1), (0x0FFF, 4), (0x1200, 1), (0x11FF, 2), (0x300D, 4), (0x3010, 1)):
        with pytest.raises(MalformedError, match=f"the {size} bytes at {address:#x}"):
            image.at_address(address, size)


def test_a_segment_ends_with_the_file_and_not_behind_it(tmp_path: Path) -> None:
    size = len(thin(NAMED, segment(0, 0, 0)))
    for offset, length in ((0, size), (size, 0), (1, size - 1)):
        assert parse(tmp_path, thin(NAMED, segment(0, offset, length))).segments == (Segment(0, offset, length),)
    for offset, length in ((0, size + 1), (size, 1), (size + 1, 0)):
        with pytest.raises(MalformedError, match="ends after the file"):
            parse(tmp_path, thin(NAMED, segment(0, offset, length)))


def test_a_table_lies_inside_its_slice(tmp_path: Path) -> None:
    inner = thin(NAMED)
    data = table((ARM64, 0, 64, len(inner))).ljust(64, b"\0") + inner + b"after"
    image = parse(tmp_path, data)
    assert image.read(Range(0, 4)) == inner[:4]
    assert image.read(Range(len(inner) - 4, 4)) == inner[-4:]
    assert image.read(Range(len(inner), 0)) == b""
    for part in (Range(len(inner) - 4, 5), Range(len(inner) + 1, 0), Range(0, len(inner) + 1)):
        with pytest.raises(MalformedError, match="is not inside the file"):
            image.read(part)
    os.truncate(image.file, len(data) - 6)
    with pytest.raises(MalformedError, match="ended while it was read"):
        image.read(Range(0, len(inner)))


def test_two_images_are_the_same_only_if_they_are_one(tmp_path: Path) -> None:
    image = parse(tmp_path, WHOLE)
    assert image == image  # noqa: PLR0124
    assert image != replace(image)
