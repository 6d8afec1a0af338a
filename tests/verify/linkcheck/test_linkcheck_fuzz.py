"""Made-up Metal libraries and dylibs with flat lookup: those that are whole are understood, damaged ones are told.

What is expected is said by a model of a few lines, which knows how a file was made and not how it is read.
LINKCHECK_MUTATIONS sets how many are tried of each.
"""

import os
import random
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from verify import macos
from verify.linkcheck import macho
from verify.linkcheck import metallib as reader
from verify.linkcheck.report import Report

from .machos import function, metallib, write

MUTATIONS = int(os.environ.get("LINKCHECK_MUTATIONS", "400"))
EDGES = (0, 1, 3, 4, 7, 8, 87, 88, 89, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 63)
HEADER = 88


def numbers(data: bytes | bytearray) -> Iterator[tuple[int, str]]:
    """The numbers of a Metal library: where each stands, and its form."""
    yield from ((at, "<H") for at in (4, 6, 8, 12, 14))
    yield from ((at, "<B") for at in (10, 11))
    yield from ((at, "<Q") for at in range(16, HEADER, 8))
    (start,) = struct.unpack_from("<Q", data, 24)
    (count,) = struct.unpack_from("<I", data, start)
    yield start, "<I"
    at = start + 4
    for _ in range(count):
        (size,) = struct.unpack_from("<I", data, at)
        yield at, "<I"
        tag = at + 4
        while data[tag : tag + 4] != b"ENDT":
            yield tag, "<I"  # its name
            (length,) = struct.unpack_from("<H", data, tag + 4)
            yield tag + 4, "<H"
            yield from ((tag + 6 + part, "<H") for part in range(0, length - 1, 2))
            tag += 6 + length
        yield tag, "<I"
        at += size


def test_metal_libraries(tmp_path: Path) -> None:
    chance = random.Random(20261126)  # noqa: S311 - reproducible on purpose
    file = tmp_path / "gpu.metallib"
    outcomes = {"whole": 0, "damaged": 0, "another": 0, "understood": 0}
    for _ in range(MUTATIONS):
        versions = [
            (
                (2, chance.randrange(3, 11)),
                chance.choice([(2, 3), (2, 4), (3, 0), (3, 1), (3, 2), (4, 0), (4, 1), (4, 2)]),
            )
            for _ in range(chance.randrange(1, 6))
        ]
        made_for = chance.choice([(11, 0), (14, 0), (15, 0), (26, 0), (26, 2)])
        parts = [function(air=air, metal=metal, code=(chance.randrange(48), 16)) for air, metal in versions]
        data = bytearray(metallib(*parts, made_for=made_for))
        damage = chance.randrange(4)
        if damage == 1:
            places = list(numbers(data))
            for at, form in chance.choices(places, k=chance.randrange(1, 4)):
                limit = 1 << 8 * struct.calcsize(form)
                near = struct.unpack_from(form, data, at)[0] + chance.choice([-1, 1])
                struct.pack_into(form, data, at, chance.choice([*EDGES, near, chance.getrandbits(64)]) % limit)
        elif damage == 2:
            del data[chance.randrange(len(data)) :]
        elif damage == 3:
            at = chance.randrange(len(data))
            data[at:at] = chance.randbytes(chance.randrange(1, 40))
        file.write_bytes(data)
        try:
            found = reader.read_file(file)
        except macho.MalformedError:
            outcomes["damaged"] += 1
            assert damage != 0
            continue
        except (reader.OtherPlatformError, reader.OtherFormError):
            outcomes["another"] += 1
            assert damage != 0
            continue
        outcomes["understood" if damage else "whole"] += 1
        if not damage:
            air, metal = max(one for one, _ in versions), max(one for _, one in versions)
            assert (found.made_for, found.air, found.metal, found.size) == ((*made_for, 0), air, metal, len(data))
            loads = [one.version for one in macos.releases() if air <= one.air and metal <= one.metal]
            assert found.needs == (max(loads[0], found.made_for) if loads else None)
        assert found.size == len(data)
    assert outcomes["damaged"] > outcomes["another"] > 0
    assert outcomes["whole"] > 0
    print(outcomes)


SYSTEM = "/usr/lib/libSystem.B.dylib"
FRAMEWORK = "/System/Library/Frameworks/CoreVideo.framework/Versions/A/CoreVideo"
ENVIRONMENTS = (
    "_env_a",
    "_env_b",
    "_env_c",
    "_own_a",
    "_own_b",
    "_CVOpen",
    "_other",
    "_malloc",
    "_memcpy",
    "__ZN3env1aEv",
)
NAMES = (*ENVIRONMENTS, "_objc_thing", "__ZNSt3__14cerrE", "dyld_stub_binder")
IN_LIBSYSTEM = {"_malloc", "_memcpy", "dyld_stub_binder"}


def missing(name: str, exported: set[str], framework: bool) -> bool:
    """Whether nobody can have a name that is looked up in all images: what dyld finds, as far as it can be known."""
    if name in exported or name in IN_LIBSYSTEM:
        return False
    if not framework or name.startswith("__Z"):
        return True
    family = name[: name.index("_", 1) + 1] if "_" in name[1:] else None
    return family is not None and any(one.startswith(family) for one in exported)


def test_dylibs_with_flat_lookup(site: Path, check: Callable[[], Report]) -> None:
    chance = random.Random(20261127)  # noqa: S311 - reproducible on purpose
    kinds = {"found": 0, "missing": 0}
    for _ in range(MUTATIONS):
        shutil.rmtree(site)
        site.mkdir()
        count = chance.randrange(1, 5)
        exports = [set(chance.sample(ENVIRONMENTS, chance.randrange(4))) for _ in range(count)]
        imports = [
            [(-2, name, chance.randrange(5) == 0) for name in chance.sample(NAMES, chance.randrange(4))]
            for _ in range(count)
        ]
        links = [chance.sample(range(count), chance.randrange(count + 1)) for _ in range(count)]
        frameworks = [chance.randrange(3) == 0 for _ in range(count)]
        for number in range(count):
            libraries = [f"@loader_path/lib{other}.so" for other in links[number]]
            libraries += [SYSTEM, *([FRAMEWORK] if frameworks[number] else [])]
            write(
                site / f"lib{number}.so",
                name=f"/built/lib{number}.so",
                links=tuple(libraries),
                exports=tuple(sorted(exports[number] | {f"_PyInit_lib{number}"})),
                imports=tuple(imports[number]),
            )
        expected: dict[str, set[str]] = {}
        for root in range(count):  # each is a module, and imported in a process of its own
            loaded, waiting = {root}, [root]
            while waiting:
                for other in links[waiting.pop()]:
                    if other not in loaded:
                        loaded.add(other)
                        waiting.append(other)
            here = set().union(*(exports[one] for one in loaded))
            framework = any(frameworks[one] for one in loaded)
            for one in loaded:
                gone = {name for _, name, weak in imports[one] if not weak and missing(name, here, framework)}
                if gone:
                    expected.setdefault(f"lib{one}.so", set()).update(gone)
        report = check()
        told = {one.subject: set(one.symbols) for one in report.findings if one.kind == "missing-symbol"}
        assert told == expected, (exports, imports, links, frameworks)
        kinds["missing" if expected else "found"] += 1
    assert min(kinds.values()) > 0
    print(kinds)


@pytest.mark.parametrize("flat", [True, False])
def test_bind_opcodes(site: Path, check: Callable[[], Report], flat: bool) -> None:
    """In any order, with any numbers: an import is bound to something, or the file is damaged."""
    chance = random.Random(20261128 + flat)  # noqa: S311 - reproducible on purpose
    seen: set[str] = set()
    for _ in range(MUTATIONS // 2):
        opcodes = b"\x3e" if flat else b"\x11"  # looked up in all images, or in the first library
        for _ in range(chance.randrange(1, 12)):
            kind = chance.choice(
                [0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x80, 0x90, 0xA0, 0xB0, 0xC0, 0xD0, 0xE0]
            )
            opcodes += bytes([kind | chance.choice([0, 0, 1, 2, 14, 15])])
            if kind == 0x40:
                opcodes += chance.choice(NAMES).encode() + chance.choice([b"\0", b"\0", b"\0", b""])
            elif kind in (0x20, 0x60, 0x70, 0x80, 0xA0, 0xC0):
                opcodes += chance.choice([b"\0", b"\5", b"\x80\1", b"\xff" * 9 + b"\1", b"\xff" * 11, b"\x80"])
        path = write(site / "lib.so", links=(SYSTEM,), exports=("_PyInit_lib",), imports=((1, "_X" * 40),))
        data = path.read_bytes()
        placed = b"\x11\x40" + b"_X" * 40 + b"\0\x90"
        assert placed in data
        path.write_bytes(data.replace(placed, opcodes[: len(placed)].ljust(len(placed), b"\0")))
        seen.update(one.kind for one in check().findings)
    assert {"damaged", "missing-symbol"} <= seen <= {"damaged", "missing-symbol", "no-owner"}
