"""The PJRT version of a JAX plugin against the versions that jaxlib's code accepts."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from verify.linkcheck import pjrt
from verify.linkcheck.command import check_folder
from verify.linkcheck.findings import Counts
from verify.linkcheck.packages import Target
from verify.linkcheck.plugins import JAX, TENSORFLOW, Plugin
from verify.linkcheck.report import Report
from verify.linkcheck.symbols import Symbols
from verify.linkcheck.tree import Tree

from .machos import (
    ARM64,
    LC_DYLD_EXPORTS_TRIE,
    LC_ID_DYLIB,
    Toolchain,
    built_for,
    command,
    install,
    linked,
    segment,
    thin,
    write,
)

# As compiled in jaxlib 0.4.34: the minor version lies 36 bytes into PJRT_Api.
JAXLIB = """
.globl _InitializePjrtPlugin
_InitializePjrtPlugin:
    ldr w8, [x20, #0x24]
    cmp w8, #{own}
    b.eq 1f
    nop
    ldr w8, [x20, #0x24]
    cmp w8, #{oldest}
    b.{branch} 1f
    adrp x0, message@PAGE
    add x0, x0, message@PAGEOFF
    ret
1:  mov w0, #0
    ret
.cstring
message: .asciz " is older than the minimum supported version "
"""
PLUGIN = """
.globl _GetPjrtApi
_GetPjrtApi:
    adrp x0, api@PAGE
    add x0, x0, api@PAGEOFF
    ret
.data
.p2align 3
api: .quad 808, 0, 24, 0
     .long {major}, {minor}
"""
COMPUTED = ".globl _GetPjrtApi\n_GetPjrtApi:\n mov x0, #0\n ret\n nop\n"
PATH = "jax_plugins/metal/plugin.dylib"


@pytest.fixture
def check(toolchain: Toolchain, site: Path) -> Callable[..., Report]:
    def run(plugin: str, jaxlib: str, *, compatibility: bool = True) -> Report:
        toolchain.build(site / PATH, plugin, suffix=".s")
        toolchain.build(site / "jaxlib" / "xla_extension.so", jaxlib, suffix=".s")
        (site / "jax_plugins" / "metal" / "__init__.py").write_text("")
        install(site, "jax-metal", files=(PATH, "jax_plugins/metal/__init__.py"))
        install(site, "jaxlib", files=("jaxlib/xla_extension.so",))
        return check_folder(lambda _: None, site, Target("3.11", (14, 4, 0), compatibility), "test")

    return run


@pytest.mark.parametrize(
    ("major", "minor", "compatibility", "accepted"),
    [
        (0, 54, False, True),
        (0, 53, False, False),
        (0, 53, True, True),
        (0, 29, True, True),
        (0, 28, True, False),
        (1, 54, True, False),
    ],
)
def test_versions(check: Callable[..., Report], major: int, minor: int, compatibility: bool, accepted: bool) -> None:
    jaxlib = JAXLIB.format(own=54, oldest=28, branch="gt")
    report = check(PLUGIN.format(major=major, minor=minor), jaxlib, compatibility=compatibility)
    assert [one.id for one in report.findings] == ([] if accepted else [f"pjrt-version:{PATH}"])
    said = report.findings[0].message if report.findings else " ".join(report.assumptions)
    assert f"{major}.{minor}" in said
    assert "0.29 and newer" in said


def test_the_comparison_may_be_written_the_other_way(check: Callable[..., Report]) -> None:
    jaxlib = JAXLIB.format(own=54, oldest=47, branch="ge")
    assert [one.kind for one in check(PLUGIN.format(major=0, minor=46), jaxlib).findings] == ["pjrt-version"]
    assert check(PLUGIN.format(major=0, minor=47), jaxlib).findings == ()


def test_code_that_uses_another_text_is_left_alone(check: Callable[..., Report]) -> None:
    """A comparison elsewhere, with a text that lies at the same place of another page."""
    decoy = """
    .space 8192
    ldr w8, [x20, #0x24]
    cmp w8, #99
    b.eq 2f
    adrp x0, decoy@PAGE
    add x0, x0, decoy@PAGEOFF
2:  ret
.cstring
"""
    code, _, text = JAXLIB.format(own=54, oldest=28, branch="gt").partition(".cstring")
    jaxlib = code + decoy + text + f'    .space {4096 - 45}\ndecoy: .asciz "another"\n'
    assert check(PLUGIN.format(major=0, minor=54), jaxlib, compatibility=False).findings == ()


def test_an_unknown_window_is_assumed(check: Callable[..., Report]) -> None:
    report = check(PLUGIN.format(major=0, minor=47), ".globl _x\n_x: ret\n")
    assert report.findings == ()
    assert any("PJRT 0.47" in one and "cannot be read" in one for one in report.assumptions)


def test_a_version_that_is_filled_in_later_is_assumed(check: Callable[..., Report]) -> None:
    empty = PLUGIN.replace(".quad 808, 0, 24, 0", ".quad 0, 0, 0, 0").format(major=0, minor=0)
    report = check(empty, JAXLIB.format(own=54, oldest=28, branch="gt"))
    assert report.findings == ()
    assert any("filled in only when it runs" in one for one in report.assumptions)


def test_a_version_that_only_running_tells_is_assumed(check: Callable[..., Report]) -> None:
    report = check(COMPUTED, JAXLIB.format(own=54, oldest=28, branch="gt"))
    assert report.findings == ()
    assert any("cannot be read (GetPjrtApi is mov, ret" in one for one in report.assumptions)


RET, NOP = 0xD65F03C0, 0xD503201F
EQ, NE, GE, LT, GT, LE = 0, 1, 10, 11, 12, 13
BASE = 0x1_0000_0000


def adrp(register: int, pages: int) -> int:
    return 0x90000000 | (pages & 3) << 29 | (pages >> 2 & 0x7FFFF) << 5 | register


def add(register: int, source: int, number: int) -> int:
    return 0x91000000 | number << 10 | source << 5 | register


def compare(number: int, condition: int, *, register: int = 8, base: int = 20, at: int = 36) -> list[int]:
    load = 0xB9400000 | at // 4 << 10 | base << 5 | register
    return [load, 0x7100001F | number << 10 | register << 5, 0x54000040 | condition]


def assembled(*code: int) -> bytes:
    return struct.pack(f"<{len(code)}I", *code)


def written_plugin(
    site: Path,
    *code: int,
    size: int = 808,
    version_size: int = 24,
    entry: str = "_GetPjrtApi",
    segments: bool = True,
    cut: int = 0x3000,
) -> Path:
    """A plugin of PJRT 0.47 whose table lies on the page after its code."""
    code = code or (adrp(0, 1), add(0, 0, 0xFD8), RET)
    trie = bytes([0, 1]) + entry.encode() + b"\0" + bytes([len(entry) + 4, 3, 0, 0x80, 0x20, 0])
    load = [linked("@rpath/plugin.dylib", LC_ID_DYLIB), built_for()]
    load += [segment(BASE, 0, cut)] if segments else []
    load += [command(LC_DYLD_EXPORTS_TRIE, struct.pack("<II", 0x3000, len(trie)))]
    data = thin(*load).ljust(0x1000, b"\0") + assembled(*code)
    data = data.ljust(0x2FD8, b"\0") + struct.pack("<QQQQii", size, 0, version_size, 0, 0, 47)
    file = site / PATH
    file.parent.mkdir(parents=True)
    file.write_bytes(data.ljust(0x3000, b"\0") + trie)
    return file


def written_jaxlib(
    site: Path, code: list[int], *, distance: int = 1, name: str = "jaxlib/xla_extension.so", fat: bool = False
) -> None:
    """A library with code on one page and the message so many pages after it, 0x123 bytes into the page."""
    load = [linked("@rpath/x", LC_ID_DYLIB), built_for(), segment(BASE - 0x4000, 0x1000, 0)]
    load += [segment(BASE, 0x1000, 0x8000), segment(BASE + distance * 0x1000, 0x9000, 0x1000)]
    data = thin(*load).ljust(0x1000, b"\0") + assembled(*code)
    data = data.ljust(0x9000, b"\0") + bytes(0x123) + b" is older than the minimum supported version \0"
    data = data.ljust(0xA000, b"\0")
    if fat:
        data = struct.pack(">7I", 0xCAFEBABE, 1, ARM64, 0, 0x4000, len(data), 14).ljust(0x4000, b"\0") + data
    file = site / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


def said_of(site: Path, *, compatibility: bool = True) -> str:
    """The one sentence about the plugin."""
    tree = Tree.scan(site)
    given = [Plugin(tree.images[PATH], JAX), Plugin(tree.images[PATH], TENSORFLOW)]
    ((finding, sentence),) = pjrt.check(tree, given, Symbols(Counts()), compatibility=compatibility)
    assert (finding is None) != (sentence is None)
    return finding.message if finding else str(sentence)


def window(site: Path, code: list[int], **how: Any) -> str:
    written_plugin(site)
    written_jaxlib(site, code, **how)
    return said_of(site)


TAKEN = [adrp(0, 1), add(0, 0, 0x123)]
READ = "jaxlib/xla_extension.so is PJRT 0.54 and accepts 0.29 and newer."
UNREADABLE = "the comparisons are not as expected"


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (compare(54, EQ), compare(28, GT), READ),
        (compare(54, NE), compare(28, LE), READ),
        (compare(54, EQ), compare(29, GE), READ),
        (compare(54, EQ), compare(29, LT), READ),
        (compare(29, LT), compare(54, EQ), READ),
        (compare(54, EQ, register=3, base=1), compare(28, GT, register=30, base=0), READ),
        (compare(54, EQ), compare(54, GE), "is PJRT 0.54 and accepts 0.54 and newer"),
        (compare(54, EQ), compare(1, GE), "is PJRT 0.54 and accepts 0.1 and newer"),
        (compare(54, EQ), compare(0, GE), UNREADABLE),
        (compare(54, EQ), compare(54, GT), UNREADABLE),
        (compare(54, EQ), compare(53, GT), "is PJRT 0.54 and accepts 0.54 and newer"),
        (compare(54, EQ), [], UNREADABLE),
        (compare(28, GT), [], UNREADABLE),
        (compare(54, EQ), compare(28, 2), UNREADABLE),
        (compare(54, EQ), compare(28, GT, at=32), UNREADABLE),
        (compare(54, EQ), compare(28, GT, at=40), UNREADABLE),
        (compare(54, EQ), [compare(28, GT)[0], NOP, *compare(28, GT)[1:]], UNREADABLE),
        (compare(54, EQ), [*compare(28, GT)[:2], NOP, compare(28, GT)[2]], UNREADABLE),
        (compare(54, EQ), [compare(28, GT, register=9)[0], *compare(28, GT)[1:]], UNREADABLE),
        (compare(54, EQ), [0xB9002688, *compare(28, GT)[1:]], UNREADABLE),  # it is stored, not loaded
        (compare(54, EQ), [compare(28, GT)[0], 0x11007108, compare(28, GT)[2]], UNREADABLE),  # an addition
    ],
)
def test_comparisons_in_code(site: Path, first: list[int], second: list[int], expected: str) -> None:
    assert expected in window(site, [*first, *second, *TAKEN, RET])


@pytest.mark.parametrize("fat", [False, True])
@pytest.mark.parametrize("register", [0, 1, 30])
@pytest.mark.parametrize("distance", [1, 2, 3, 4, 5, 7, 0x155555, 0xFFFFF, -1, -2, -4, -0xFFFFF, -0x100000])
def test_an_address_is_taken_from_any_distance(site: Path, distance: int, register: int, fat: bool) -> None:
    distance = distance if -0x100000 <= distance < 0x100000 else distance - 0x100000
    taken = [adrp(register, distance), add(register, register, 0x123)]
    code = [*taken, *compare(54, EQ), *compare(28, GT)]
    assert READ in window(site, code, distance=distance, fat=fat)


@pytest.mark.parametrize(
    ("between", "found"),
    [
        ([], True),
        ([NOP] * 14, True),
        ([NOP] * 15, False),
        ([adrp(1, 7)], True),
        ([adrp(0, 7)], False),
        ([0x90000001 | 1 << 31 | 1 << 5], True),
        ([0x10000000], True),  # adr, which is not adrp
        ([0x9100_0000], True),
    ],
)
def test_the_nearest_page_counts(site: Path, between: list[int], found: bool) -> None:
    code = [adrp(0, 1), *between, add(0, 0, 0x123), *compare(54, EQ), *compare(28, GT)]
    assert (READ in window(site, code)) is found


def test_a_use_without_its_page_is_none(site: Path) -> None:
    assert UNREADABLE in window(site, [add(0, 0, 0x123), *compare(54, EQ), *compare(28, GT)])


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        (248, 0, True),
        (249, 0, True),
        (250, 0, False),  # of the first comparison's load
        (1000, 249, True),
        (1000, 250, False),
    ],
)
def test_comparisons_stand_near(site: Path, before: int, after: int, found: bool) -> None:
    """Within 1 KiB of the use on either side: of 256 instructions before it, and of 255 after it."""
    first, second = compare(54, EQ), compare(28, GT)
    code = [*first, *second, *[NOP] * before, *TAKEN]
    if after:
        code = [NOP] * before + TAKEN + [NOP] * after + second + first
    said = window(site, code)
    assert (READ in said) is found


def test_a_page_is_searched_for_only_in_the_code(site: Path) -> None:
    """What looks like it, but does not lie where instructions do, is none."""
    written_plugin(site)
    written_jaxlib(site, [])
    file = site / "jaxlib" / "xla_extension.so"
    data = bytearray(file.read_bytes())
    code = assembled(adrp(0, 1), add(0, 0, 0x123), *compare(54, EQ), *compare(28, GT))
    data[0x1002 : 0x1002 + len(code)] = code
    file.write_bytes(data)
    assert UNREADABLE in said_of(site)


@pytest.mark.parametrize(("decoys", "said"), [(4095, READ), (4096, "too many places look like the comparison")])
def test_a_file_of_nothing_but_uses_is_given_up(site: Path, decoys: int, said: str) -> None:
    code = (
        [NOP] * 16 + [add(0, 0, 0x123)] * decoys + [adrp(1, -3), add(1, 1, 0x123), *compare(54, EQ), *compare(28, GT)]
    )
    assert said in window(site, code)


def test_which_file_of_jaxlib_is_read(site: Path) -> None:
    code = [*TAKEN, *compare(54, EQ), *compare(28, GT)]
    written_plugin(site)
    written_jaxlib(site, code, name="jaxlib/mlir/deeper.so")
    written_jaxlib(site, code, name="other/xla.so")
    write(site / "jaxlib" / "_a.so")
    assert "no file of jaxlib has the comparison" in said_of(site)
    written_jaxlib(site, [NOP], name="jaxlib/_b.so")
    written_jaxlib(site, [NOP], name="jaxlib/_c.so")
    assert f"(jaxlib/_b.so: {UNREADABLE}; jaxlib/_c.so: {UNREADABLE})" in said_of(site)
    written_jaxlib(site, code)
    assert READ in said_of(site)


def test_a_message_outside_of_all_segments(site: Path) -> None:
    written_plugin(site)
    file = write(site / "jaxlib" / "_a.so")
    file.write_bytes(file.read_bytes() + b" is older than the minimum supported version ")
    assert "the message is not in a segment" in said_of(site)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({}, "jaxlib accepts PJRT 0.47 of"),
        ({"size": 40}, "jaxlib accepts PJRT 0.47 of"),
        ({"size": 39}, "filled in only when it runs"),
        ({"version_size": 25}, "filled in only when it runs"),
        ({"version_size": 23}, "filled in only when it runs"),
        ({"entry": "_Other"}, "_GetPjrtApi is not exported"),
        ({"segments": False}, "_GetPjrtApi is not exported"),
        ({"cut": 0x2FFF}, "no segment holds the 40 bytes at"),
        ({"cut": 0x100B}, "no segment holds the 12 bytes at"),
    ],
)
def test_what_a_plugin_returns(site: Path, how: dict[str, Any], said: str) -> None:
    written_plugin(site, **how)
    assert said in said_of(site)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ((adrp(1, 1), add(0, 0, 0xFD8), RET), "something other than a fixed address"),
        ((adrp(0, 1), add(0, 1, 0xFD8), RET), "something other than a fixed address"),
        ((adrp(0, 1), RET, RET), "GetPjrtApi is adrp, ret, ret"),
        ((0, 0, 0), "GetPjrtApi is udf, udf, udf"),
        ((0xFFFFFFFF, RET, RET), "GetPjrtApi is no code"),
    ],
)
def test_code_that_does_more_than_return_an_address(site: Path, code: tuple[int, ...], said: str) -> None:
    written_plugin(site, *code)
    assert said in said_of(site)
