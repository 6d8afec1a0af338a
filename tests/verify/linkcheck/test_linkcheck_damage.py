"""Damaged files: whatever they say, the check ends with findings and never with a traceback.

LINKCHECK_MUTATIONS sets how many damaged files are tried; 10000 take a few minutes.
"""

import os
import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from verify.linkcheck.report import Report

from .machos import PYTHON_TAG, Toolchain, chain, commands, fat, install, metallib, write

MUTATIONS = int(os.environ.get("LINKCHECK_MUTATIONS", "400"))
ARM64 = 0x0100000C


def environment(toolchain: Toolchain, site: Path) -> list[Path]:
    """A small environment in which every part of the check has something to do; returns its Mach-O files."""
    deep = toolchain.build(site / "pkg" / "libdeep.dylib", "int deep(void) { return 1; } int d2(void) { return 2; }")
    lib = toolchain.build(
        site / "pkg" / "libfoo.dylib",
        "int deep(void); int foo(void) { return deep(); } int _kmpc(void) { return 1; }",
        links=(deep,),
        rpaths=("@loader_path",),
    )
    use = "int foo(void); int flat(void); int use(void) { return foo() + flat(); }"
    dynamic = ("-Wl,-undefined,dynamic_lookup",)
    module = toolchain.module(
        site / "pkg" / f"mod.{PYTHON_TAG}.so", use, links=(lib,), rpaths=("@loader_path",), options=dynamic
    )
    chained = toolchain.module(
        site / "pkg" / "second.abi3.so", use, links=(lib,), rpaths=("@loader_path",), options=dynamic
    )
    chain(chained, form=1)
    plugin = toolchain.build(
        site / "jax_plugins" / "metal" / "plugin.dylib",
        ".globl _GetPjrtApi\n_GetPjrtApi:\nadrp x0, _api@PAGE\nadd x0, x0, _api@PAGEOFF\nret\n"
        ".data\n.globl _api\n_api:\n.quad 808, 0, 24, 0\n.long 0, 47\n",
        suffix=".s",
    )
    both = fat(site / "pkg" / "libboth.dylib", (ARM64, deep))
    gpu = site / "pkg" / "gpu.metallib"
    gpu.write_bytes(metallib())
    within = site / "pkg" / "libwithin.dylib"
    write(within, exports=("_within",), imports=((1, "_malloc"),), links=("/usr/lib/libSystem.B.dylib",))
    within.write_bytes(within.read_bytes() + metallib())
    (site / "jax_plugins" / "metal" / "__init__.py").write_text("")
    files = [deep, lib, module, chained, plugin, both, gpu, within]
    own = tuple(str(path.relative_to(site)) for path in [*files, site / "jax_plugins" / "metal" / "__init__.py"])
    install(site, "pkg", files=own, entry_points="[jax_plugins]\nmetal = jax_plugins.metal\n")
    return files


def damage(data: bytes, chance: random.Random) -> bytes:
    """One kind of damage, mostly where it is read: header, load commands, tables."""
    changed = bytearray(data)
    header = max((at + size for _, at, size in commands(data)), default=64) if data[:1] == b"\xcf" else 4096
    header = min(header, len(data))
    kind = chance.randrange(8)
    if kind == 0:
        return bytes(changed[: chance.randrange(len(changed))])
    if kind == 1:  # a number of the header or the load commands
        at = chance.randrange(header // 4) * 4
        value = chance.choice([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, chance.getrandbits(32), len(data)])
        struct.pack_into("<I", changed, at, value)
    elif kind == 2:  # bytes of the tables at the end
        for _ in range(chance.randrange(1, 64)):
            at = chance.randrange(len(changed) - min(4096, len(changed)), len(changed))
            changed[at] = chance.randrange(256)
    elif kind == 3:  # bytes of the load commands
        for _ in range(chance.randrange(1, 16)):
            changed[chance.randrange(min(header, len(changed)))] = chance.randrange(256)
    elif kind == 4:  # bytes anywhere, in a row
        at = chance.randrange(len(changed))
        changed[at : at + 16] = chance.randbytes(16)
    elif kind == 5 and data[:1] == b"\xcf":  # a load command of another kind, or with another's content
        (_, one, _), (_, other, size) = chance.choices(commands(data), k=2)
        if chance.randrange(2):
            changed[one : one + 4] = data[other : other + 4]
        else:
            changed[one + 8 : one + size] = data[other + 8 : other + size]
    elif kind == 6 and data[:1] == b"\xcf":  # a place or size in a load command that leads to the edge of something
        _, at, size = chance.choice(commands(data))
        value = chance.choice([at, at + size, header, len(data) - 1, len(data), len(data) + 1])
        struct.pack_into("<I", changed, at + 8 + chance.randrange(max(1, (size - 8) // 4)) * 4, value)
    else:  # bytes put in
        at = chance.randrange(header)
        changed[at:at] = chance.randbytes(chance.randrange(1, 9))
    return bytes(changed)


def test_damaged_files_give_findings_and_no_traceback(
    toolchain: Toolchain, site: Path, check: Callable[[], Report]
) -> None:
    files = environment(toolchain, site)
    whole = [path.read_bytes() for path in files]
    chance = random.Random(20261121)  # noqa: S311 - reproducible on purpose
    kinds: set[str] = set()
    for number in range(MUTATIONS):
        which = number % len(files)
        files[which].write_bytes(damage(whole[which], chance))
        try:
            report = check()
        except Exception as error:
            kept = site.parent / f"mutation-{number}"
            kept.write_bytes(files[which].read_bytes())
            pytest.fail(f"mutation {number} of {files[which].name} ({kept}): {error!r}")
        kinds.update(one.kind for one in report.findings)
        files[which].write_bytes(whole[which])
    assert {"damaged", "missing-dependency", "missing-symbol", "record"} <= kinds
