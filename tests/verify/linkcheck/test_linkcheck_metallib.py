"""Metal libraries: what they need, and that whatever they say is read within limits."""

import os
import random
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from verify.linkcheck import macho, metallib
from verify.linkcheck.command import check_folder
from verify.linkcheck.macho import MalformedError
from verify.linkcheck.metallib import Metallib, OtherFormError, OtherPlatformError
from verify.linkcheck.report import Report
from verify.macos import Version

from .conftest import TARGET
from .machos import ARM64, X86_64, fat, function, segment, thin, write
from .machos import metallib as library

MUTATIONS = int(os.environ.get("LINKCHECK_MUTATIONS", "1000"))
Check = Callable[[], Report]


def read(tmp_path: Path, data: bytes) -> Metallib:
    (tmp_path / "x.metallib").write_bytes(data)
    return metallib.read_file(tmp_path / "x.metallib")


@pytest.mark.parametrize(
    ("made_for", "functions", "needs"),
    [
        ((14, 0), [((2, 6), (3, 1))], (14, 0, 0)),
        ((14, 4), [((2, 6), (3, 1))], (14, 4, 0)),
        ((14, 0), [((2, 7), (3, 1))], (15, 0, 0)),
        ((14, 0), [((2, 6), (3, 2))], (15, 0, 0)),
        ((14, 0), [((2, 6), (3, 1)), ((2, 5), (3, 0)), ((2, 8), (4, 0)), ((2, 6), (3, 1))], (26, 0, 0)),
        ((26, 2), [((2, 8), (4, 0))], (26, 2, 0)),
        ((27, 0), [((2, 9), (4, 1))], (27, 0, 0)),
        ((14, 0), [((2, 10), (3, 1))], None),
        ((14, 0), [((2, 6), (5, 0))], None),
    ],
)
def test_what_a_library_needs(
    tmp_path: Path,
    made_for: tuple[int, int],
    functions: list[tuple[tuple[int, int], tuple[int, int]]],
    needs: Version | None,
) -> None:
    """The newest of its functions decides, and what it is made for."""
    found = read(tmp_path, library(*(function(air=air, metal=metal) for air, metal in functions), made_for=made_for))
    assert found.needs == needs
    assert found.made_for == (*made_for, 0)


def test_a_library_without_functions_needs_what_it_is_made_for(tmp_path: Path) -> None:
    data = bytearray(library(made_for=(15, 0)))
    struct.pack_into("<Q", data, 32, 0)  # no bytes of functions
    struct.pack_into("<I", data, 88, 0)
    found = read(tmp_path, bytes(data))
    assert (found.needs, found.air, found.metal) == ((15, 0, 0), (0, 0), (0, 0))


WHOLE = library(function(), function(air=(2, 5)))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "it is no Metal library"),
        (b"MTLX" + WHOLE[4:], "it is no Metal library"),
        (WHOLE[:87], "cut off in its header"),
        (WHOLE[:-1], "its header says [0-9]+ bytes, of which [0-9]+ are there"),
        (WHOLE + b"x", "[0-9]+ bytes, and its header says"),
        (library(size=87), "its header says 87 bytes"),
        (library(count=2), "the list of 2 functions ends after 1"),
        (library(function(), function(), count=1), "[0-9]+ bytes after its functions"),
        (library(after=b"x"), "1 bytes after its functions"),
        (library(struct.pack("<I", 3)), "function 0 is not inside the list"),
        (library(struct.pack("<I", 5)), "function 0 is not inside the list"),
        (library(struct.pack("<I", 4)), "the tags of function 0 do not end"),
        (library(struct.pack("<I", 12) + b"ENDTENDT"), "the tags of function 0 end before it does"),
        (library(struct.pack("<I", 8) + b"ENDT"), "function 0 has no whole VERS"),
        (library(function().replace(b"VERS\x08", b"VERS\x07")), "function 0"),
        (library(function().replace(b"OFFT", b"ABCD")), "function 0 has no whole OFFT"),
        (library(function().replace(b"MDSZ", b"ABCD")), "function 0 has no whole MDSZ"),
        (library(function(code=(48, 17))), "the code of function 0 is not inside it"),
        (library(function(), function(code=(2**64 - 1, 1))), "the code of function 1 is not inside it"),
    ],
)
def test_what_is_damaged(tmp_path: Path, data: bytes, said: str) -> None:
    with pytest.raises(MalformedError, match=said):
        read(tmp_path, data)


@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize(("offset", "size"), [(87, 0), (2**63, 0), (88, 2**63), (88, len(WHOLE)), (2**64 - 1, 2)])
def test_a_part_outside_the_library(tmp_path: Path, part: int, offset: int, size: int) -> None:
    data = bytearray(WHOLE)
    struct.pack_into("<QQ", data, 24 + 16 * part, offset, size)
    with pytest.raises(MalformedError, match="are not inside it"):
        read(tmp_path, bytes(data))


def test_code_that_ends_where_its_part_does_is_inside(tmp_path: Path) -> None:
    assert read(tmp_path, library(function(code=(48, 16)))).needs == (14, 0, 0)


def test_a_list_of_more_than_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = 4 + 2 * len(function())
    monkeypatch.setattr(metallib, "_MAX_LIST", listed)
    assert read(tmp_path, WHOLE)
    monkeypatch.setattr(metallib, "_MAX_LIST", listed - 1)
    with pytest.raises(MalformedError, match="a list of functions of"):
        read(tmp_path, WHOLE)


@pytest.mark.parametrize(
    ("platform", "system", "said"),
    [(1, 0x82, "iOS"), (0x8001, 0x86, "Mac Catalyst"), (1, 0x81, "system 0x81 of platform 0x1"), (1, 0x99, "0x99")],
)
def test_another_system(tmp_path: Path, platform: int, system: int, said: str) -> None:
    with pytest.raises(OtherPlatformError, match=said):
        read(tmp_path, library(platform=platform, system=system))


def test_compiled_code_is_not_looked_into(tmp_path: Path, site: Path, check: Check) -> None:
    with pytest.raises(OtherFormError):
        read(tmp_path, b"\xcb\xfe\xba\xbe" + bytes(100))
    (site / "gpu.metallib").write_bytes(b"\xcb\xfe\xba\xbe" + bytes(100))
    report = check()
    assert "The GPU that gpu.metallib has compiled code for is the Mac's." in report.assumptions
    assert [one.kind for one in report.findings] == ["no-owner"]


def embedding(path: Path, *libraries: bytes, between: bytes = b"MTLBuffer MTLB\x01") -> Path:
    """A dylib with Metal libraries in it, wherever they lie."""
    write(path)
    path.write_bytes(path.read_bytes() + between + between.join(libraries))
    return path


def test_libraries_inside_a_file(site: Path) -> None:
    old, new = library(), library(function(air=(2, 8), metal=(4, 0)), made_for=(26, 2))
    image = macho.read(embedding(site / "x.dylib", old, new), "x")
    assert [one.made_for for one in metallib.read_embedded(image)] == [(14, 0, 0), (26, 2, 0)]
    assert metallib.needs(metallib.read_embedded(image)) == (14, 0, 0)


def test_only_the_arm64_slice_is_searched(site: Path, tmp_path: Path) -> None:
    own = embedding(tmp_path / "a.dylib", library(made_for=(14, 1)))
    other = tmp_path / "b.dylib"
    other.write_bytes(thin(segment(0, 0, 0), cpu=X86_64) + library(made_for=(26, 0)))
    both = fat(site / "x.dylib", (X86_64, other), (ARM64, own), (X86_64, other))
    assert [one.made_for for one in metallib.read_embedded(macho.read(both, "x"))] == [(14, 1, 0)]


@pytest.mark.parametrize("block", [1, 2, 5, 6, 7, 64])
def test_a_library_is_found_wherever_what_is_read_at_once_ends(
    site: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    image = macho.read(embedding(site / "x.dylib", library(), library(made_for=(15, 0)), library()), "x")
    monkeypatch.setattr(metallib, "_BLOCK", block)
    assert [one.made_for[0] for one in metallib.read_embedded(image)] == [14, 15, 14]


def test_what_looks_like_a_library_inside_another_is_none(site: Path) -> None:
    data = library(function().replace(b"HASH \0" + bytes(32), b"HASH \0" + library()[:6] + bytes(26)))
    assert data.count(library()[:6]) == 2
    assert len(metallib.read_embedded(macho.read(embedding(site / "x.dylib", data), "x"))) == 1


def test_too_many_libraries(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = macho.read(embedding(site / "x.dylib", *[library()] * 3), "x")
    monkeypatch.setattr(metallib, "_MAX_EMBEDDED", 3)
    assert len(metallib.read_embedded(image)) == 3
    monkeypatch.setattr(metallib, "_MAX_EMBEDDED", 2)
    with pytest.raises(MalformedError, match="more than 2 libraries"):
        metallib.read_embedded(image)


def findings(report: Report) -> list[tuple[str, tuple[str, ...]]]:
    return [(one.id, one.releases) for one in report.findings if one.kind != "no-owner"]


def test_findings_name_the_releases_that_refuse_a_library(site: Path) -> None:
    new = function(air=(2, 8), metal=(4, 0))
    (site / "old.metallib").write_bytes(library())
    (site / "new.metallib").write_bytes(library(new, made_for=(26, 2)))
    (site / "named-otherwise").write_bytes(library(new, made_for=(26, 0)))
    (site / "unknown.metallib").write_bytes(library(function(air=(9, 0))))
    embedding(site / "both.dylib", library(), library(new, made_for=(26, 4)))
    embedding(site / "one.dylib", library(new, made_for=(26, 0)))
    (site / "ios.metallib").write_bytes(library(system=0x82, platform=1))
    (site / "cut.metallib").write_bytes(library()[:-1])
    (site / "none.metallib").write_bytes(b"")
    embedding(site / "cut.dylib", library()[:-1])
    target = replace(TARGET, later=((15, 0, 0), (26, 0, 0), (27, 0, 0)))
    report = check_folder(lambda _: None, site, target, "test")
    every = ("14.4", "15.0", "26.0", "26.2", "27.0")
    assert report.releases == every
    assert sorted(findings(report)) == [
        ("damaged:cut.dylib", every),
        ("damaged:cut.metallib", every),
        ("damaged:none.metallib", every),
        ("metal-version:named-otherwise", ("14.4", "15.0")),
        ("metal-version:new.metallib", ("14.4", "15.0", "26.0")),
        ("metal-version:one.dylib", ("14.4", "15.0")),
        ("metal-version:unknown.metallib", every),
        ("wrong-platform:ios.metallib", every),
    ]
    said = {one.subject: one for one in report.findings}
    assert "made for macOS 26.2, with AIR 2.8 and version 4.0 of the language" in said["new.metallib"].message
    assert said["new.metallib"].details == ("macOS 26.2",)
    assert said["unknown.metallib"].details == ("a newer macOS than is known here",)
    assert "at 0x" in said["cut.dylib"].message
    assert "both.dylib opens that of its Metal libraries, made for 14.0 and 26.4, which fits." in report.assumptions
    assert not [one for one in report.assumptions if one.startswith("one.dylib opens")]


NUMBERS = [0, 1, 3, 4, 87, 88, 2**16 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1]


def damage(whole: bytes, chance: random.Random) -> bytes:
    """One kind of damage, at a place that means something: a number, a tag's name or length, a function, the end."""
    data = bytearray(whole)
    kind = chance.randrange(7)
    if kind == 0:
        return whole[: chance.randrange(len(whole))]
    if kind == 1:  # one of the header's numbers of 8 bytes
        value = chance.choice([*NUMBERS, len(whole), len(whole) - 1, chance.getrandbits(64)])
        struct.pack_into("<Q", data, 16 + 8 * chance.randrange(9), value)
    elif kind == 2:  # one of its bytes
        data[chance.randrange(88)] = chance.randrange(256)
    elif kind == 3:  # the number of functions, or the size of one
        at = 88 + chance.choice([0, 4, 4 + len(function())])
        struct.pack_into("<I", data, at, chance.choice([*NUMBERS, chance.randrange(512)]) & 0xFFFFFFFF)
    elif kind == 4:  # a tag's name or length
        at = chance.choice(
            [one for name in (b"NAME", b"OFFT", b"VERS", b"MDSZ", b"ENDT") for one in places(whole, name)]
        )
        data[at + chance.randrange(6)] = chance.randrange(256)
    elif kind == 5:  # a tag's data
        at = chance.choice([one for name in (b"OFFT", b"VERS", b"MDSZ") for one in places(whole, name)])
        data[at + 6 + chance.randrange(8)] = chance.randrange(256)
    else:  # bytes taken out or put in
        at = chance.randrange(88, len(whole))
        data[at : at + chance.randrange(8)] = chance.randbytes(chance.randrange(8))
    return bytes(data)


def places(data: bytes, name: bytes) -> list[int]:
    return [at for at in range(88, len(data)) if data[at : at + 4] == name]


def test_damaged_libraries_are_refused_and_no_more(tmp_path: Path) -> None:
    """Alone and inside a Mach-O file. LINKCHECK_MUTATIONS sets how many are tried; 10000 take some 20 seconds."""
    chance = random.Random(20261126)  # noqa: S311 - reproducible on purpose
    ends: dict[str, int] = {}
    for number in range(MUTATIONS):
        data = damage(WHOLE, chance)
        try:
            if number % 4:
                read(tmp_path, data)
            else:
                metallib.read_embedded(macho.read(embedding(tmp_path / "x.dylib", data), "x"))
            end = "read"
        except (MalformedError, OtherPlatformError, OtherFormError) as error:
            end = type(error).__name__
        except Exception as error:
            (tmp_path / "kept").write_bytes(data)
            pytest.fail(f"mutation {number} ({tmp_path / 'kept'}): {error!r}")
        ends[end] = ends.get(end, 0) + 1
    assert set(ends) >= {"read", "MalformedError", "OtherPlatformError"}
    assert ends["MalformedError"] > MUTATIONS // 3


def test_the_older_form_states_neither_system_nor_sizes(tmp_path: Path) -> None:
    """As SDL 2's does; what it says is held to the same."""
    data = library(function(air=(1, 8), metal=(1, 1)), made_for=(0, 0), system=0)
    old = data.replace(b"MDSZ", b"OTHR")
    found = read(tmp_path, old)
    assert (found.made_for, found.air, found.metal, found.needs) == ((0, 0, 0), (1, 8), (1, 1), (11, 0, 0))
    assert str(found) == "made for any macOS, with AIR 1.8 and version 1.1 of the language"
    with pytest.raises(MalformedError, match="has no whole MDSZ"):
        read(tmp_path, library().replace(b"MDSZ", b"OTHR"))
    with pytest.raises(MalformedError, match="has no whole VERS"):
        read(tmp_path, old.replace(b"VERS", b"OTHR"))
    with pytest.raises(OtherPlatformError):
        read(tmp_path, library(system=0, platform=1))
