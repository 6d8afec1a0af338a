"""Making small Mach-O files and packages for the tests, with the clang and the linker of the ziglang wheel.

zig's linker writes neither re-exports, weak libraries nor chained fixups; those are made from its files by changing
the load commands in question. Where no code is needed, `write` puts a file together from its load commands and tables
alone, with whatever may stand there.
"""

import base64
import hashlib
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from verify.linkcheck import linkedit, macho

LC_LOAD_DYLIB, LC_LOAD_WEAK_DYLIB, LC_REEXPORT_DYLIB = 0x0C, 0x80000018, 0x8000001F
LC_DYLD_INFO_ONLY, LC_DYLD_EXPORTS_TRIE, LC_DYLD_CHAINED_FIXUPS = 0x80000022, 0x80000033, 0x80000034
LC_SOURCE_VERSION = 0x2A
LC_BUILD_VERSION, LC_SEGMENT_64, LC_UUID = 0x32, 0x19, 0x1B
LC_ID_DYLIB, LC_RPATH, LC_VERSION_MIN_MACOSX, LC_SYMTAB, LC_DYLD_INFO = 0x0D, 0x8000001C, 0x24, 0x02, 0x22
LC_LOAD_UPWARD_DYLIB, LC_LAZY_LOAD_DYLIB = 0x80000023, 0x20
X86_64, ARM64 = 0x01000007, 0x0100000C
PYTHON_TAG = "cpython-311-darwin"


class Toolchain:
    """Compiles C and assembly for macOS."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self._number = 0

    def build(
        self,
        target: Path,
        source: str,
        *,
        install_name: str | None = None,
        links: tuple[Path, ...] = (),
        rpaths: tuple[str, ...] = (),
        arch: str = "aarch64",
        macos: str = "14.0",
        options: tuple[str, ...] = (),
        suffix: str = ".c",
    ) -> Path:
        """Build a dylib and return its path."""
        self._number += 1
        code = self.work / f"{self._number}{suffix}"
        code.write_text(source, encoding="utf-8")
        target.parent.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable,
            "-m",
            "ziglang",
            "cc",
            "-target",
            f"{arch}-macos.{macos}",
            "-shared",
            "-nostdlib",
            "-O1",
        ]
        command += ["-fno-sanitize=undefined", "-o", str(target), str(code), *map(str, links)]
        command += [f"-Wl,-install_name,{install_name or f'@rpath/{target.name}'}"]
        command += [f"-Wl,-rpath,{rpath}" for rpath in rpaths]
        cache = {f"ZIG_{kind}_CACHE_DIR": str(self.work / "zig") for kind in ("GLOBAL", "LOCAL")}
        done = subprocess.run(
            [*command, *options], env={**os.environ, **cache}, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            pytest.fail(f"{' '.join(command)}\n{done.stderr}\nziglang comes with controller-dev.lock.")
        return target

    def module(self, target: Path, body: str = "", **how: object) -> Path:
        """Build an extension module; its init function calls `body`."""
        name = target.name.split(".")[0]
        source = f"{body}\nvoid *PyInit_{name}(void) {{ return 0; }}\n"
        return self.build(target, source, **how)  # type: ignore[arg-type]


def command(kind: int, body: bytes) -> bytes:
    """A load command."""
    body += bytes(-len(body) % 8)
    return struct.pack("<II", kind, 8 + len(body)) + body


def linked(name: str, kind: int = LC_LOAD_DYLIB) -> bytes:
    """A load command that names a library: one that is linked to, or the file itself."""
    return command(kind, struct.pack("<4I", 24, 0, 0, 0) + name.encode() + b"\0")


def rpath(path: str) -> bytes:
    return command(LC_RPATH, struct.pack("<I", 12) + path.encode() + b"\0")


def segment(address: int, offset: int, size: int) -> bytes:
    return command(LC_SEGMENT_64, struct.pack("<16s4Q4I", b"__TEXT", address, size, offset, size, 5, 5, 0, 0))


def built_for(platform: int = macho.MACOS, minos: int = 14 << 16, sdk: int = 14 << 16) -> bytes:
    return command(LC_BUILD_VERSION, struct.pack("<4I", platform, minos, sdk, 0))


def thin(
    *load: bytes,
    filetype: int = macho.DYLIB,
    cpu: int = ARM64,
    subtype: int = 0,
    magic: bytes = b"\xcf\xfa\xed\xfe",
    content: bytes = b"",
) -> bytes:
    """A Mach-O file of these load commands; its content follows them."""
    order = ">" if magic.startswith(b"\xfe") else "<"
    table = b"".join(load)
    return magic + struct.pack(f"{order}7I", cpu, subtype, filetype, len(load), len(table), 0, 0) + table + content


def write(
    target: Path,
    *more: bytes,
    name: str | None = None,
    links: tuple[str | tuple[str, int], ...] = (),
    rpaths: tuple[str, ...] = (),
    exports: tuple[str | tuple[str, int, str], ...] = (),
    imports: tuple[tuple[int, str] | tuple[int, str, bool], ...] = (),
    filetype: int = macho.DYLIB,
) -> Path:
    """Write a file without code; returns its path.

    Args:
        target: where.
        more: load commands beside those that follow from the rest; the first that is given states the platform.
        name: install name.
        links: names of libraries, or names and kinds of the links.
        rpaths: search paths.
        exports: symbols, or a symbol, the ordinal of the library that has it, and its name there.
        imports: library ordinals and symbols, and whether the symbol may be missing.
        filetype: dylib, bundle or program.
    """
    load = [linked(name or f"@rpath/{target.name}", LC_ID_DYLIB), *(more or (built_for(),)), *map(rpath, rpaths)]
    load += [linked(one) if isinstance(one, str) else linked(*one) for one in links]
    binds, trie = b"".join(_bound(*one) for one in imports), _trie(exports)
    end = 32 + sum(map(len, load)) + 48
    places = (0, 0, end, len(binds), 0, 0, 0, 0, end + len(binds), len(trie))
    load.append(command(LC_DYLD_INFO_ONLY, struct.pack("<10I", *places)))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(thin(*load, filetype=filetype, content=binds + trie))
    return target


def _bound(ordinal: int, symbol: str, weak: bool = False) -> bytes:
    library = bytes([0x10 | ordinal] if ordinal >= 0 else [0x30 | ordinal & 0xF])
    return library + bytes([0x40 | weak]) + symbol.encode() + b"\0\x90"


def _trie(exports: tuple[str | tuple[str, int, str], ...]) -> bytes:
    """An exports trie of one level."""
    names = [one if isinstance(one, str) else one[0] for one in exports]
    at = 2 + sum(len(name) + 3 for name in names)
    root, leaves = bytes([0, len(names)]), b""
    for name, one in zip(names, exports, strict=True):
        root += name.encode() + b"\0" + bytes([at & 0x7F | 0x80, at >> 7])
        entry = bytes([0, 1]) if isinstance(one, str) else bytes([8, one[1]]) + one[2].encode() + b"\0"
        leaf = bytes([len(entry)]) + entry + b"\0"
        leaves, at = leaves + leaf, at + len(leaf)
    return root + leaves


def commands(data: bytes | bytearray) -> list[tuple[int, int, int]]:
    """Load commands of a thin 64-bit file: (kind, place, size)."""
    count = struct.unpack_from("<I", data, 16)[0]
    found, at = [], 32
    for _ in range(count):
        kind, size = struct.unpack_from("<II", data, at)
        found.append((kind, at, size))
        at += size
    return found


def change_link(path: Path, name: str, kind: int) -> None:
    """Turn the link to a library into one of another kind: weak, or a re-export."""
    data = bytearray(path.read_bytes())
    for known, at, size in commands(data):
        if known == LC_LOAD_DYLIB and data[at + 24 : at + size].split(b"\0")[0].decode() == name:
            struct.pack_into("<I", data, at, kind)
            path.write_bytes(data)
            return
    raise AssertionError(f"{path} does not link to {name}")


def change_build(path: Path, *, platform: int | None = None, sdk: int | None = None) -> None:
    """State another platform or SDK (its major version)."""
    data = bytearray(path.read_bytes())
    for kind, at, _ in commands(data):
        if kind == LC_BUILD_VERSION:
            if platform is not None:
                struct.pack_into("<I", data, at + 8, platform)
            if sdk is not None:
                struct.pack_into("<I", data, at + 16, sdk << 16)
    path.write_bytes(data)


def change_type(path: Path, filetype: int) -> None:
    """Turn a dylib into a bundle or a program."""
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, 12, filetype)
    path.write_bytes(data)


def change_subtype(path: Path, subtype: int) -> None:
    """Give a thin file another CPU subtype."""
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, 8, subtype)
    path.write_bytes(data)


def add_platform(path: Path, platform: int) -> None:
    """State a second platform after the first, as zippered files do; takes the place of the UUID, of the same size."""
    data = bytearray(path.read_bytes())
    for kind, at, size in commands(data):
        if kind == LC_UUID:
            data[at : at + size] = struct.pack("<6I", LC_BUILD_VERSION, size, platform, 0x100000, 0x100000, 0)
    path.write_bytes(data)


def fat(path: Path, *slices: tuple[int, Path], subtype: int = 0) -> Path:
    """Write a fat file of slices (CPU type, thin file), all of one CPU subtype."""
    table, body, at = struct.pack(">II", 0xCAFEBABE, len(slices)), b"", 0x4000
    for cpu, thin in slices:
        data = thin.read_bytes()
        table += struct.pack(">5I", cpu, subtype, at + len(body), len(data), 14)
        body += data + bytes(-len(data) % 0x4000)
    path.write_bytes(table + bytes(at - len(table)) + body)
    return path


def reexport_symbol(path: Path, name: str, library: str, there: str) -> None:
    """Give a file an exports trie of one entry: a symbol that a dependency has under another name."""
    ordinal = [one.name for one in macho.read(path, path.name).dependencies].index(library) + 1
    entry = bytes([8, ordinal]) + there.encode() + b"\0"
    start = 4 + len(name)
    trie = bytes([0, 1]) + name.encode() + b"\0" + bytes([start, len(entry)]) + entry + b"\0"
    data = bytearray(path.read_bytes())
    for kind, at, _ in commands(data):
        if kind == LC_DYLD_INFO_ONLY:
            struct.pack_into("<II", data, at + 40, len(data), len(trie))
    path.write_bytes(data + trie)


def chain(path: Path, *, form: int, packed: bool = False, weak_lookup: dict[str, str] | None = None) -> None:
    """Give a file chained fixups, with the imports that its bind opcodes have, in one of the three formats.

    `weak_lookup` renames imports, and has them looked up as weak definitions.
    """
    image = macho.read(path, path.name)
    names, entries = b"\0", b""
    for one in linkedit.imports(image):
        name = (weak_lookup or {}).get(one.name)
        ordinal, at = linkedit.WEAK_LOOKUP if name else one.ordinal, len(names)
        if form == 3:
            entries += struct.pack("<QQ", ordinal & 0xFFFF | one.weak << 16 | at << 32, 0)
        else:
            entries += struct.pack("<I", ordinal & 0xFF | one.weak << 8 | at << 9) + (b"\0" * 4 if form == 2 else b"")
        names += (name or one.name).encode() + b"\0"
    count = len(linkedit.imports(image))
    stored = zlib.compress(names) if packed else names
    blob = struct.pack("<7I", 0, 28, 32, 32 + len(entries), count, form, int(packed)) + bytes(4) + entries + stored
    data = bytearray(path.read_bytes())
    place = len(data)
    for kind, at, _ in commands(data):
        if kind == LC_SEGMENT_64 and data[at + 8 : at + 18] == b"__LINKEDIT":
            start = struct.unpack_from("<Q", data, at + 40)[0]
            struct.pack_into("<Q", data, at + 48, place + len(blob) - start)
    exports = image.exports or macho.Range()
    for kind, at, size in commands(data):
        if kind == LC_DYLD_INFO_ONLY:
            new = struct.pack("<4I", LC_DYLD_CHAINED_FIXUPS, 16, place, len(blob))
            new += struct.pack("<4I", LC_DYLD_EXPORTS_TRIE, 16, exports.offset, exports.size)
            data[at : at + size] = new + struct.pack("<IIQ", LC_SOURCE_VERSION, 16, 0)
    struct.pack_into("<I", data, 16, struct.unpack_from("<I", data, 16)[0] + 2)
    path.write_bytes(data + blob)


def function(
    *, air: tuple[int, int] = (2, 6), metal: tuple[int, int] = (3, 1), code: tuple[int, int] = (0, 16)
) -> bytes:
    """A function of a Metal library: its versions, and place and size of its code."""
    tags = [
        (b"NAME", b"f\0"),
        (b"TYPE", b"\2"),
        (b"HASH", bytes(32)),
        (b"OFFT", struct.pack("<3Q", 0, 0, code[0])),
        (b"VERS", struct.pack("<4H", *air, *metal)),
        (b"MDSZ", struct.pack("<Q", code[1])),
    ]
    body = b"".join(name + struct.pack("<H", len(data)) + data for name, data in tags) + b"ENDT"
    return struct.pack("<I", 4 + len(body)) + body


def metallib(
    *functions: bytes,
    made_for: tuple[int, int] = (14, 0),
    platform: int = 0x8001,
    system: int = 0x81,
    count: int | None = None,
    size: int | None = None,
    after: bytes = b"",
) -> bytes:
    """A Metal library; `count` and `size` are what it says of itself, `after` follows its list of functions."""
    listed = b"".join(functions or (function(),)) + after
    start = 88
    list_end = start + 4 + len(listed)
    whole = list_end + 8 + 8 + 64
    parts = (start, len(listed), list_end, 8, list_end + 8, 8, list_end + 16, 64)
    said = len(functions or (b"",)) if count is None else count
    head = struct.pack(
        "<4sHHHBBHH9Q", b"MTLB", platform, 2, 7, 0, system, *made_for, whole if size is None else size, *parts
    )
    return head + struct.pack("<I", said) + listed + bytes(8 + 8 + 64)


def install(
    site: Path,
    name: str,
    version: str = "1.0",
    *,
    files: tuple[str, ...] = (),
    requires: tuple[str, ...] = (),
    tag: str = "cp311-cp311-macosx_14_0_arm64",
    entry_points: str = "",
    extra_rows: tuple[str, ...] = (),
) -> Path:
    """Write a package's metadata for files that are there already; returns its RECORD."""
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    lines = [f"Requires-Dist: {one}" for one in requires]
    (info / "METADATA").write_text(
        "\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines, ""])
    )
    (info / "WHEEL").write_text(f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n")
    if entry_points:
        (info / "entry_points.txt").write_text(entry_points)
    rows = []
    own = [str(path.relative_to(site)) for path in sorted(info.iterdir()) if path.name != "RECORD"]
    for path in [*files, *own]:
        data = (site / path).read_bytes()
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.append(f"{path},sha256={digest},{len(data)}")
    record = info / "RECORD"
    record.write_text("\n".join([*rows, *extra_rows, f"{info.name}/RECORD,,", ""]))
    return record
