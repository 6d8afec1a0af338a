"""The PJRT version of a JAX plugin against the versions that jaxlib's code accepts."""

from collections.abc import Callable
from pathlib import Path

import pytest

from verify.linkcheck.command import check_folder
from verify.linkcheck.packages import Target
from verify.linkcheck.report import Report

from .machos import Toolchain, install

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
        return check_folder(site, Target("3.11", (14, 4, 0), compatibility), "test", lambda _: None)

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
