"""The PJRT C API version of a JAX plugin, and the versions that jaxlib accepts, read from the files.

A plugin's GetPjrtApi returns the address of a PJRT_Api (openxla/xla, xla/pjrt/c/pjrt_c_api.h), which starts with its
size and an extension pointer, 8 bytes each, then a PJRT_Api_Version: size and extension again, then major and minor
version, 4 bytes each. Where it is built statically and GetPjrtApi only loads the address, all stands in the file.

jaxlib compares in InitializePjrtPlugin (xla/pjrt/pjrt_api.cc). With ENABLE_PJRT_COMPATIBILITY set the major version
must be its own and the minor one at least kMinPjRtMinor; without it both must be its own. Both numbers are constants
in that function, which is found by a message that only it has.
"""

import functools
import mmap
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from capstone import CS_ARCH_ARM64, CS_MODE_ARM, Cs, CsInsn

from .findings import Finding
from .limits import reading
from .macho import Image, MalformedError, Segment
from .plugins import JAX, Plugin
from .symbols import Symbols
from .tree import Tree

_MINOR_AT = 36
_VERSION_SIZE = 24
_MESSAGE = b" is older than the minimum supported version "
_NEIGHBOURHOOD = 1024
"""Bytes of code before the message's use in which the comparisons stand; they are 300 bytes long in jaxlib 0.4.34."""
_MAX_USES = 4096
_INSTRUCTION = 4
_ADRP, _ADRP_MASK = 0x90000000, 0x9F000000


@dataclass(frozen=True)
class Window:
    """Minor versions that a jaxlib accepts: its own, and the oldest with ENABLE_PJRT_COMPATIBILITY."""

    own: int
    oldest: int


class _UnreadableError(Exception):
    """Code or data that is not as expected; the message says what was found."""


def check(
    tree: Tree, plugins: Iterable[Plugin], symbols: Symbols, *, compatibility: bool
) -> Iterator[tuple[Finding | None, str | None]]:
    """Compare each JAX plugin with jaxlib; gives findings, and sentences that say what is read or assumed.

    Args:
        tree: the environment's files.
        plugins: all plugins.
        symbols: looks up their exports.
        compatibility: whether ENABLE_PJRT_COMPATIBILITY is set in the environment.
    """
    for plugin in plugins:
        if plugin.host is not JAX:
            continue
        path = plugin.image.path
        try:
            with reading(path):
                major, minor = plugin_version(plugin.image, symbols)
        except (_UnreadableError, MalformedError) as error:
            yield None, f"jaxlib accepts the PJRT version of {path}, which cannot be read ({error})."
            continue
        try:
            window, source = _window(tree)
        except (_UnreadableError, MalformedError) as error:
            yield (
                None,
                f"jaxlib accepts PJRT {major}.{minor} of {path}: the versions it takes cannot be read ({error}).",
            )
            continue
        accepted = major == 0 and (window.oldest <= minor if compatibility else minor == window.own)
        accepts = f"0.{window.oldest} and newer" if compatibility else "only its own"
        said = f"{source} is PJRT 0.{window.own} and accepts {accepts}"
        if not compatibility:
            said += f" (0.{window.oldest} and newer with ENABLE_PJRT_COMPATIBILITY=1)"
        if accepted:
            yield None, f"{path} is PJRT {major}.{minor}; {said}."
        else:
            message = f"It is PJRT {major}.{minor}; {said}."
            yield Finding("pjrt-version", path, message, chain=(plugin.host.statement, path)), None


def plugin_version(image: Image, symbols: Symbols) -> tuple[int, int]:
    """Major and minor PJRT version of a plugin.

    Raises:
        _UnreadableError: GetPjrtApi does more than load an address.
        MalformedError: the file is damaged.
    """
    entry = symbols.tables.exports(image).find(JAX.entry)
    if entry is None or not image.segments:
        raise _UnreadableError(f"{JAX.entry} is not exported")
    start = image.segments[0].address + entry.value
    address = _returned_address(image.at_address(start, 3 * _INSTRUCTION), start)
    head = image.at_address(address, _MINOR_AT + 4)
    size, _, version_size, _, major, minor = struct.unpack("<QQQQii", head)
    if version_size != _VERSION_SIZE or size < len(head):
        raise _UnreadableError("what GetPjrtApi returns is filled in only when it runs")
    return major, minor


def _returned_address(code: bytes, start: int) -> int:
    """What a function returns that only loads an address: adrp, add, ret."""
    instructions = list(Cs(CS_ARCH_ARM64, CS_MODE_ARM).disasm(code, start))
    names = [one.mnemonic for one in instructions]
    if names != ["adrp", "add", "ret"]:
        raise _UnreadableError(f"GetPjrtApi is {', '.join(names) or 'no code'}")
    page = re.fullmatch(r"x0, #(\w+)", instructions[0].op_str)
    offset = re.fullmatch(r"x0, x0, #(\w+)", instructions[1].op_str)
    if page is None or offset is None:
        raise _UnreadableError("GetPjrtApi returns something other than a fixed address")
    return int(page[1], 0) + int(offset[1], 0)


def _window(tree: Tree) -> tuple[Window, str]:
    """What jaxlib accepts, and the file in which that stands."""
    tried: list[str] = []
    for path, image in sorted(tree.images.items()):
        if path.startswith("jaxlib/") and path.count("/") == 1:
            with reading(path):
                found = _window_of(image)
            if isinstance(found, Window):
                return found, path
            if found is not None:
                tried.append(f"{path}: {found}")
    raise _UnreadableError("; ".join(tried) or "no file of jaxlib has the comparison")


@functools.lru_cache(maxsize=16)
def _window_of(image: Image) -> Window | str | None:
    """What an image accepts, or why that cannot be read; None where it is not the one that compares."""
    with image.file.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        message = data.find(_MESSAGE)
        if message < 0:
            return None
        try:
            return _read_window(image, data, message)
        except _UnreadableError as error:
            return str(error)


def _read_window(image: Image, data: mmap.mmap, message: int) -> Window:
    place = message - image.slice.offset
    target = next((s.address + place - s.offset for s in image.segments if 0 <= place - s.offset < s.size), None)
    if target is None:
        raise _UnreadableError("the message is not in a segment")
    segment = next(one for one in image.segments if one.size)
    own: int | None = None
    oldest: int | None = None
    for use in _uses(image, data, segment, target):
        start = max(use - _NEIGHBOURHOOD, image.slice.offset + segment.offset)
        instructions = list(Cs(CS_ARCH_ARM64, CS_MODE_ARM).disasm(data[start : use + _NEIGHBOURHOOD], start))
        for number, branch in _comparisons(instructions):
            if branch in ("b.eq", "b.ne"):
                own = number
            elif branch in ("b.gt", "b.le"):
                oldest = number + 1
            elif branch in ("b.ge", "b.lt"):
                oldest = number
    if own is None or oldest is None or not 0 < oldest <= own:
        raise _UnreadableError("the comparisons are not as expected")
    return Window(own, oldest)


def _uses(image: Image, data: mmap.mmap, segment: Segment, target: int) -> Iterator[int]:
    """Places in the file where code takes an address: adrp for the page, add for the rest, in one register."""
    start = image.slice.offset + segment.offset
    seen = 0
    for register in range(31):
        wanted = struct.pack("<I", 0x91000000 | (target & 0xFFF) << 10 | register << 5 | register)
        at = data.find(wanted, start, start + segment.size)
        while at >= 0:
            seen += 1
            if seen > _MAX_USES:
                raise _UnreadableError("too many places look like the comparison")
            if (at - start) % _INSTRUCTION == 0 and _page_before(data, at, start, segment, register) == target & ~0xFFF:
                yield at
            at = data.find(wanted, at + 1, start + segment.size)


def _page_before(data: mmap.mmap, at: int, start: int, segment: Segment, register: int) -> int | None:
    """The page that the nearest adrp before a place puts into a register."""
    for back in range(1, 16):
        place = at - back * _INSTRUCTION
        if place < start:
            return None
        word = int.from_bytes(data[place : place + _INSTRUCTION], "little")
        if word & _ADRP_MASK == _ADRP and word & 0x1F == register:
            pages = (word >> 5 & 0x7FFFF) << 2 | word >> 29 & 3
            pages -= (pages & 1 << 20) << 1
            return ((segment.address + place - start) & ~0xFFF) + (pages << 12)
    return None


def _comparisons(instructions: list[CsInsn]) -> Iterator[tuple[int, str]]:
    """Comparisons of the minor version with a constant, each with the branch that follows."""
    for load, compare, branch in zip(instructions, instructions[1:], instructions[2:], strict=False):
        loaded = re.fullmatch(rf"(w\d+), \[x\d+, #{_MINOR_AT:#x}\]", load.op_str)
        if load.mnemonic == "ldr" and loaded and compare.mnemonic == "cmp":
            number = re.fullmatch(rf"{loaded[1]}, #(\w+)", compare.op_str)
            if number:
                yield int(number[1], 0), branch.mnemonic
