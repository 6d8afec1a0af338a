"""dyld's rules one by one, over files that are nothing but load commands and tables."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from verify.linkcheck import document, linkedit, macho, runtimes
from verify.linkcheck.command import check_folder
from verify.linkcheck.dyld import Process
from verify.linkcheck.findings import Finding
from verify.linkcheck.packages import Target
from verify.linkcheck.report import Report
from verify.linkcheck.system import System
from verify.linkcheck.tree import SITE, OutsideError, Tree
from verify.macos import Version

from .machos import (
    ARM64,
    LC_LOAD_WEAK_DYLIB,
    LC_REEXPORT_DYLIB,
    PYTHON_TAG,
    X86_64,
    built_for,
    command,
    fat,
    install,
    rpath,
    thin,
    write,
)

Check = Callable[[], Report]
LIBZ, OBJC = "/usr/lib/libz.1.dylib", "/usr/lib/libobjc.A.dylib"
LIBPYTHON = "@executable_path/../lib/libpython3.11.dylib"


def found(report: Report) -> dict[str, Finding]:
    """Findings by id, but for those about files that belong to no package."""
    return {one.id: one for one in report.findings if one.kind != "no-owner"}


def outcome_of(site: Path, *before: str) -> tuple[str, tuple[str, ...], str | None, bool]:
    """What the first link of user.dylib leads to, in a process in which other images are loaded before."""
    tree = Tree.scan(site)
    process = Process(tree, System((14, 4, 0)))
    for path in before:
        process.open(tree.images[path])
    process.open(tree.images["a/user.dylib"])
    first = process.outcomes["a/user.dylib"][0]
    return first.where, first.tried, first.image.path if first.image else None, first.by_name


@pytest.mark.parametrize(
    ("name", "had"),
    [
        ("_CFBundleGetMainBundle", True),
        ("___CFConstantStringClassReference", True),
        ("_kCFAllocatorDefault", True),
        ("_CFNetworkCopySystemProxySettings", False),
        ("_CFHTTPMessageCreateRequest", False),
        ("_kCFProxyTypeKey", False),
        ("_CGImageCreate", False),
        ("CFBundleGetMainBundle", False),
    ],
)
def test_core_foundation_is_in_every_process(name: str, had: bool) -> None:
    """Python itself is linked to it; CFNetwork's names, which begin likewise, are another library's."""
    assert System((14, 4, 0)).has_symbol(name, set()) is had


@pytest.mark.parametrize(
    ("name", "rpaths", "place", "tried"),
    [
        ("@rpath/x.dylib", ("@loader_path",), "a/x.dylib", ()),
        ("@rpath/x.dylib", ("@loader_path/",), "a/x.dylib", ()),
        ("@rpath/x.dylib", ("@loader_path/../b",), "b/x.dylib", ()),
        ("@rpath/c/x.dylib", ("@loader_path/nowhere", "@loader_path/.."), "c/x.dylib", ()),
        ("@rpath/x.dylib", (f"{SITE}/b",), "b/x.dylib", ()),
        ("@rpath/x.dylib", ("@executable_path/../lib/python/site-packages/b",), "b/x.dylib", ()),
        ("@loader_path/x.dylib", (), "a/x.dylib", ()),
        ("@loader_path/../b/x.dylib", (), "b/x.dylib", ()),
        ("@executable_path/../lib/python/site-packages/x.dylib", (), "x.dylib", ()),
        (f"{SITE}/b/x.dylib", (), "b/x.dylib", ()),
        ("@rpath/x.dylib", (), None, ("no rpath leads anywhere",)),
        (
            "@rpath/x.dylib",
            ("@loader_path", "@loader_path/", "/opt/lib"),
            None,
            ("a/x.dylib (no such file)", "/opt/lib/x.dylib (outside the environment's packages)"),
        ),
        ("x.dylib", (), None, ("x.dylib (relative to the current folder)",)),
        ("@loader_pathx/x.dylib", (), None, ("@loader_pathx/x.dylib (relative to the current folder)",)),
        ("@rpath/x.dylib", ("b",), None, ("b/x.dylib (relative to the current folder)",)),
        ("@loader_path/note.txt", (), None, ("a/note.txt (it is not a library that can be linked to)",)),
        ("@loader_path", (), None, ("a (no such file)",)),
    ],
)
def test_where_a_library_is_looked_for(
    site: Path, name: str, rpaths: tuple[str, ...], place: str | None, tried: tuple[str, ...]
) -> None:
    write(site / "a" / "user.dylib", links=(name,), rpaths=rpaths)
    (site / "a" / "note.txt").write_text("")
    if place is not None:
        write(site / place)
    assert outcome_of(site) == ("environment" if place else "missing", tried, place, False)


@pytest.mark.parametrize(
    ("install_name", "link", "by_name"),
    [
        ("@rpath/x.dylib", "@rpath/x.dylib", True),
        ("/opt/x.dylib", "/opt/x.dylib", True),
        ("x.dylib", "x.dylib", True),
        ("@rpath/x.dylib", "@rpath/y.dylib", False),
        ("@loader_path/x.dylib", "@loader_path/x.dylib", False),  # another folder's
        ("/usr/lib/libz.1.dylib", "/usr/lib/libz.1.dylib", True),  # a copy of macOS's that is loaded before
    ],
)
def test_a_library_that_is_loaded_already(site: Path, install_name: str, link: str, by_name: bool) -> None:
    write(site / "a" / "user.dylib", links=(link,))
    write(site / "b" / "x.dylib", name=install_name)
    where, _, image, named = outcome_of(site, "b/x.dylib")
    assert (where, image, named) == (("environment", "b/x.dylib", True) if by_name else ("missing", None, False))
    assert outcome_of(site)[0] == ("system" if link.startswith("/usr/lib") else "missing")


def test_a_bundle_can_be_linked_to_once_it_is_loaded(site: Path) -> None:
    write(site / "a" / "user.dylib", links=("@loader_path/x.so",))
    write(site / "a" / "x.so", filetype=macho.BUNDLE)
    assert outcome_of(site)[:2] == ("missing", ("a/x.so (it is not a library that can be linked to)",))
    assert outcome_of(site, "a/x.so")[0] == "environment"


@pytest.mark.parametrize(
    ("link", "where"),
    [
        ("/usr/lib/libanything.dylib", "system"),
        ("/System/Library/Frameworks/Metal.framework/Metal", "system"),
        ("/usr/local/lib/libanything.dylib", "missing"),
        (LIBPYTHON, "python"),
        ("@executable_path/../Python", "python"),
        ("/env/lib/./x/../libpython3.12.dylib", "python"),
        ("/../env/lib//libpython3.12.dylib", "python"),
        ("/env/lib/libpython3.11.dylib.old", "missing"),
        ("/env/lib/libpython2.7.dylib", "missing"),
        ("/other/env/lib/libpython3.11.dylib", "missing"),
    ],
)
def test_libraries_of_macos_and_of_python(site: Path, link: str, where: str) -> None:
    write(site / "a" / "user.dylib", links=(link,))
    assert outcome_of(site)[0] == where


@pytest.mark.parametrize(
    ("link", "sdk", "where"),
    [
        ("/opt/local/lib/libz.1.dylib", (12, 255), "system"),
        ("/opt/local/lib/libz.1.dylib", (13, 0), "missing"),
        ("/opt/local/lib/libz.1.dylib", None, "system"),
        ("/opt/local/lib/libunknown.dylib", None, "missing"),
        ("libz.1.dylib", (11, 0), "system"),
        ("/opt/x.framework/libz.1.dylib", (11, 0), "missing"),
    ],
)
def test_where_old_files_find_macos_libraries(site: Path, link: str, sdk: tuple[int, int] | None, where: str) -> None:
    build = command(0x7F, b"") if sdk is None else built_for(sdk=sdk[0] << 16 | sdk[1] << 8)
    write(site / "a" / "user.dylib", build, links=(link,))
    assert outcome_of(site)[0] == where


@pytest.mark.parametrize("number", [32, 33])
def test_a_chain_of_links_has_a_limit(site: Path, number: int) -> None:
    (site / "0").write_text("")
    for one in range(number):
        (site / str(one + 1)).symlink_to(str(one))
    findings = Tree.scan(site).findings
    assert [one.id for one in findings] == ([] if number == 32 else ["dead-link:33"])


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"{SITE}/pkg/file", "pkg/file"),
        (f"{SITE}//pkg/./../pkg/file", "pkg/file"),
        (f"/../..{SITE}/pkg/file", "pkg/file"),
        (f"{SITE}/pkg/../../site-packages/pkg/file", "pkg/file"),
        (f"{SITE}/there/file", "pkg/file"),
        (f"{SITE}/absolute/file", "pkg/file"),
        (f"{SITE}/deep/../file", "pkg/file"),  # .. of where the link leads
        (f"{SITE}/pkg", None),
        (f"{SITE}/pkg/nothing", None),
        (f"{SITE}/nothing/../pkg/file", "pkg/file"),
        (SITE, None),
        ("/env/lib/python", OutsideError),
        ("/pkg/file", OutsideError),
        (f"{SITE}/..", OutsideError),
        (f"{SITE}/out/passwd", OutsideError),
    ],
)
def test_paths_are_followed_as_the_file_system_would(site: Path, path: str, expected: str | type | None) -> None:
    (site / "pkg" / "sub").mkdir(parents=True)
    (site / "pkg" / "file").write_text("")
    (site / "there").symlink_to("pkg")
    (site / "deep").symlink_to("pkg/sub")
    (site / "absolute").symlink_to(f"{SITE}/pkg")
    (site / "out").symlink_to("/etc")
    tree = Tree.scan(site)
    for _ in range(2):  # the second time from memory
        if expected is OutsideError:
            with pytest.raises(OutsideError):
                tree.resolve(path)
        else:
            assert tree.resolve(path) == expected


def test_what_is_no_library_is_left_alone(site: Path) -> None:
    (site / "object.o").write_bytes(thin(filetype=1))
    (site / "short").write_bytes(b"\xcf\xfa\xed")
    os.mkfifo(site / "pipe")
    tree = Tree.scan(site)
    assert (tree.images, tree.refused, [one.id for one in tree.findings]) == ({}, {}, ["special-file:pipe"])


MODULE = f"mod.{PYTHON_TAG}.so"


def module(site: Path, *more: bytes, **how: object) -> None:
    write(site / MODULE, *more, exports=("_PyInit_mod",), **how)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("imports", "missing"),
    [
        ((1, "_foo"), None),
        ((2, "_bar"), None),
        ((1, "_bar"), "not exported by libfoo.dylib"),
        ((3, "_foo"), "not exported by library number 3, which it does not link to"),
        ((3, "_foo", True), None),
        ((1, "_bar", True), None),
        ((0, "_PyInit_mod"), None),
        ((0, "_foo"), f"not exported by {MODULE}"),
        ((-1, "_PyLong_AsLong"), None),
        ((-1, "__Py_NoneStruct"), None),
        ((-1, "_main"), "not exported by any image that is loaded then"),
        ((-1, "_foo"), None),
        ((-2, "_bar"), None),
        ((-2, "_gone"), "not exported by any image that is loaded then"),
        ((-2, "_gone", True), None),
        ((-2, "_PyLong_AsLong"), None),
        ((-3, "_bar"), None),
        ((-3, "_PyLong_AsLong"), "not exported by any image that is loaded then"),
        ((0, "_PyLong_AsLong"), f"not exported by {MODULE}"),
    ],
)
def test_where_a_symbol_is_looked_up(
    site: Path, check: Check, imports: tuple[int, str] | tuple[int, str, bool], missing: str | None
) -> None:
    write(site / "libfoo.dylib", exports=("_foo",))
    write(site / "libbar.dylib", exports=("_bar",))
    module(site, links=("@rpath/libfoo.dylib", "@rpath/libbar.dylib"), rpaths=("@loader_path",), imports=(imports,))
    findings = found(check())
    if missing is None:
        assert findings == {}
    else:
        assert list(findings) == [f"missing-symbol:{MODULE}"]
        finding = findings[f"missing-symbol:{MODULE}"]
        assert (finding.message, finding.symbols) == (f"1 symbol(s) that it binds are {missing}.", (imports[1],))


SYSTEM, CPP = "/usr/lib/libSystem.B.dylib", "/usr/lib/libc++.1.dylib"
METAL = "/System/Library/Frameworks/Metal.framework/Versions/A/Metal"


@pytest.mark.parametrize(
    ("name", "ordinal", "links", "found_there"),
    [
        ("_malloc", -2, (), True),  # every process has libSystem
        ("_pthread_create", -2, (SYSTEM,), True),
        ("dyld_stub_binder", -2, (SYSTEM,), True),
        ("_frobnicate", -2, (SYSTEM, CPP, OBJC), False),  # whose symbols are known
        ("_frobnicate", -2, (METAL,), True),
        ("_frobnicate", -2, (LIBZ,), True),
        ("_frobnicate", -3, (METAL,), False),  # a weak definition is no matter of frameworks
        ("_frobnicate", -1, (METAL,), False),
        ("_malloc", -1, (METAL,), True),
        ("_vImageCopyBuffer", -2, (METAL,), True),
        ("___cxa_throw", -2, (CPP,), True),
        ("___cxa_throw", -2, (SYSTEM,), False),
        ("__ZNSt3__18ios_baseD2Ev", -2, (CPP,), True),
        ("__ZN3tsl8internal10LogMessageC1EPKcii", -2, (METAL, CPP), False),
        ("_objc_msgSend", -2, (OBJC,), True),
        ("_TF_New", -2, (METAL,), True),
        ("_TF_New", -2, (METAL, "@rpath/libtf.dylib"), False),  # which exports others of that family
        ("_TF_NewBuffer", -2, (METAL, "@rpath/libtf.dylib"), None),
        ("_TFNew", -2, (METAL, "@rpath/libtf.dylib"), True),
        ("_TF_", -2, (METAL, "@rpath/libtf.dylib"), True),
        ("_malloc_zone_x", -2, (METAL, "@rpath/libtf.dylib"), True),
    ],
)
def test_what_macos_may_give_to_a_lookup_in_all_images(
    site: Path, check: Check, name: str, ordinal: int, links: tuple[str, ...], found_there: bool | None
) -> None:
    """What it may is assumed and counted; what no one can give is missing. None: it is in the environment."""
    write(site / "libtf.dylib", exports=("_TF_NewBuffer", "_malloc_zone_y"))
    module(site, links=links, rpaths=("@loader_path",), imports=((ordinal, name),))
    report = check()
    assert [one.symbols for one in found(report).values()] == ([(name,)] if found_there is False else [])
    assert report.choices[0].counts.flat_symbols == (1 if found_there else 0)
    sentence = "macOS has the symbols that these look up in all images and that none of the environment exports: "
    assert (f"{sentence}{MODULE}." in report.assumptions) is bool(found_there)


def test_what_looks_symbols_up_in_all_images_is_named_up_to_a_limit(site: Path, check: Check) -> None:
    for number in range(10):
        name = f"m{number}"
        write(site / f"{name}.so", exports=(f"_PyInit_{name}",), imports=((-2, "_malloc"), (-2, "_free")))
    report = check()
    assert report.choices[0].counts.flat_symbols == 20
    assert [
        one
        for one in report.assumptions
        if one.endswith("exports: " + ", ".join(f"m{n}.so" for n in range(8)) + " and 2 more.")
    ]


def test_what_is_counted(site: Path, check: Check) -> None:
    """Each image's symbols once, however many load it."""
    write(site / "libfoo.dylib", exports=("_foo",), links=(LIBZ,), imports=((1, "_inflate"),))
    links = ("@rpath/libfoo.dylib", LIBZ, LIBPYTHON, "@rpath/gone.dylib", OBJC)
    imports = ((1, "_foo"), (2, "_a"), (2, "_b"), (5, "_c"), (3, "_Py1"), (-2, "_Py2"), (4, "_d"), (0, "_PyInit_mod"))
    module(site, links=links, rpaths=("@loader_path",), imports=imports)
    write(site / "other.abi3.so", exports=("_PyInit_other",), links=("@loader_path/libfoo.dylib",))
    report = check()
    counts = report.choices[0].counts
    assert (counts.symbols, counts.system_symbols, counts.python_symbols) == (3, 4, 2)
    assert (counts.images, counts.processes, counts.files, counts.packages) == (3, 2, 3, 0)
    assert (counts.dependencies, counts.system_dependencies) == (7, 3)
    assert "All symbols that are bound to macOS's libraries and to Python are there." in report.assumptions


REEXPORTED = LC_REEXPORT_DYLIB


@pytest.mark.parametrize(
    ("stub", "exported"),
    [
        ({"links": (("@rpath/libreal.dylib", REEXPORTED),)}, True),
        ({"links": (LIBZ, ("@rpath/libreal.dylib", REEXPORTED))}, True),
        ({"links": ("@rpath/libreal.dylib",)}, False),
        ({"links": (("@rpath/libother.dylib", REEXPORTED),)}, False),
        ({"links": ((LIBZ, REEXPORTED),)}, True),  # macOS's symbols are not known
        ({"links": (LIBZ,)}, False),
        ({"links": (("@rpath/libself.dylib", REEXPORTED), ("@rpath/libreal.dylib", REEXPORTED))}, True),
        ({"links": (("@rpath/libself.dylib", REEXPORTED),)}, False),  # a circle
        ({"links": ("@rpath/libreal.dylib",), "exports": (("_foo", 1, ""),)}, True),
        ({"links": ("@rpath/libreal.dylib",), "exports": (("_foo", 1, "_bar"),)}, True),
        ({"links": ("@rpath/libreal.dylib",), "exports": (("_foo", 1, "_baz"),)}, False),
        ({"links": ("@rpath/libother.dylib", "@rpath/libreal.dylib"), "exports": (("_foo", 2, ""),)}, True),
        ({"links": ("@rpath/libother.dylib", "@rpath/libreal.dylib"), "exports": (("_foo", 3, ""),)}, False),
        ({"links": (LIBZ,), "exports": (("_foo", 1, ""),)}, True),
        ({"links": (LIBPYTHON,), "exports": (("_foo", 1, ""),)}, True),
        ({"links": (("@rpath/gone.dylib", LC_LOAD_WEAK_DYLIB),), "exports": (("_foo", 1, ""),)}, False),
    ],
)
def test_what_a_library_hands_on(site: Path, check: Check, stub: dict[str, object], exported: bool) -> None:
    write(site / "libreal.dylib", exports=("_foo", "_bar"))
    write(site / "libother.dylib", exports=("_other",))
    write(site / "libself.dylib", links=(("@loader_path/libstub.dylib", REEXPORTED),))
    write(site / "libstub.dylib", rpaths=("@loader_path",), **stub)  # type: ignore[arg-type]
    module(site, links=("@rpath/libstub.dylib",), rpaths=("@loader_path",), imports=((1, "_foo"),))
    assert list(found(check())) == ([] if exported else [f"missing-symbol:{MODULE}"])


def test_what_a_missing_library_would_have_brought(site: Path, check: Check) -> None:
    """Of the symbols that are bound to it those that nothing else has, weak ones left out; each library has its own."""
    write(site / "libfoo.dylib", exports=("_foo",))
    links = ("@rpath/libgone.dylib", "@rpath/libfoo.dylib", "@rpath/libaway.dylib")
    imports = ((1, "_foo"), (1, "_b"), (1, "_a"), (1, "_weak", True), (2, "_foo"), (3, "_c"), (-2, "_foo"))
    module(site, links=links, rpaths=("@loader_path",), imports=imports)
    findings = found(check())
    assert {name: one.symbols for name, one in findings.items()} == {
        f"missing-dependency:{MODULE}>@rpath/libgone.dylib": ("_a", "_b"),
        f"missing-dependency:{MODULE}>@rpath/libaway.dylib": ("_c",),
    }


@pytest.mark.parametrize(
    ("platform", "minos", "kind", "said"),
    [
        (1, (14, 4, 0), None, ""),
        (1, (14, 4, 1), "too-new", "built for macOS 14.4.1 and newer"),
        (1, (15, 0, 0), "too-new", "built for macOS 15.0 and newer"),
        (2, (15, 0, 0), "wrong-platform", "built for iOS, not for macOS"),
        (3, (15, 0, 0), "wrong-platform", "built for tvOS, not for macOS"),
        (4, (15, 0, 0), "wrong-platform", "built for watchOS, not for macOS"),
        (7, (15, 0, 0), "wrong-platform", "built for iOS simulator, not for macOS"),
        (11, (15, 0, 0), "wrong-platform", "built for visionOS, not for macOS"),
        (6, (14, 0, 0), "wrong-platform", "built for Mac Catalyst, not for macOS"),
        (99, (14, 0, 0), "wrong-platform", "built for platform 99, not for macOS"),
    ],
)
def test_what_an_image_is_built_for(
    site: Path, check: Check, platform: int, minos: Version, kind: str | None, said: str
) -> None:
    module(site, built_for(platform, minos[0] << 16 | minos[1] << 8 | minos[2]))
    report = check()
    assert list(found(report)) == ([f"{kind}:{MODULE}"] if kind else [])
    assert kind is None or said in found(report)[f"{kind}:{MODULE}"].message
    assert not any("states no platform" in one for one in report.assumptions)


def test_an_image_that_states_no_platform_is_assumed_to_be_for_macos(site: Path, check: Check) -> None:
    module(site, rpath("@loader_path"))
    report = check()
    assert found(report) == {}
    assert f"{MODULE} states no platform: taken to be for macOS." in report.assumptions


def test_what_is_loaded_on_its_own_account(site: Path, check: Check) -> None:
    """Modules, programs, and what neither is nor is linked to by one; the chain tells how."""
    gone = ("@rpath/gone.dylib",)
    write(site / f"pkg/a.{PYTHON_TAG}.so", exports=("_PyInit_a",), links=gone)
    write(site / "pkg/b.abi3.so", exports=("_PyInit_other",), links=gone, filetype=macho.BUNDLE)
    write(site / "bin/tool", links=gone, filetype=macho.EXECUTE)
    write(site / "pkg/libfree.dylib", links=gone)
    write(site / "pkg/libused.dylib", links=gone)
    write(site / "pkg/c.so", exports=("_PyInit_c",), links=("@loader_path/libused.dylib",))
    write(site / "pkg/d.cpython-312-darwin.so", exports=("_PyInit_d",), links=gone)
    report = check()
    assert report.choices[0].counts.processes == 5
    assert {one.subject.partition(">")[0]: one.chain for one in found(report).values()} == {
        f"pkg/a.{PYTHON_TAG}.so": ("import pkg.a", f"pkg/a.{PYTHON_TAG}.so"),
        "pkg/b.abi3.so": ("dlopen", "pkg/b.abi3.so"),
        "bin/tool": ("run", "bin/tool"),
        "pkg/libfree.dylib": ("dlopen", "pkg/libfree.dylib"),
        "pkg/libused.dylib": ("import pkg.c", "pkg/c.so", "pkg/libused.dylib"),
    }


def test_the_shortest_of_several_ways_is_told(site: Path, check: Check) -> None:
    """For a missing library and for missing symbols, whichever way is found first."""
    write(site / "libend.dylib", links=("@rpath/gone.dylib",), imports=((-2, "_nobody"), (-2, "_none")))
    write(site / "libway.dylib", links=("@loader_path/libend.dylib",))
    long, short = ("@loader_path/libway.dylib",), ("@loader_path/libend.dylib",)
    for name, links in (("a", long), ("b", short), ("c", long), ("d", short)):
        write(site / f"{name}.so", exports=(f"_PyInit_{name}",), links=links)
    findings = found(check())
    assert {one.chain for one in findings.values()} == {("import b", "b.so", "libend.dylib")}
    assert findings["missing-symbol:libend.dylib"].symbols == ("_nobody", "_none")
    assert findings["missing-symbol:libend.dylib"].message.startswith("2 symbol(s)")


def test_the_first_of_several_symbols_that_are_missing_by_the_shortest_way(site: Path, check: Check) -> None:
    """One more symbol is missing where one image less is loaded: the finding has both, and the shorter way."""
    write(site / "libend.dylib", imports=((-2, "_nobody"), (-2, "_extra")))
    write(site / "libway.dylib", links=("@loader_path/libend.dylib",), exports=("_extra",))
    write(site / "a.so", exports=("_PyInit_a",), links=("@loader_path/libway.dylib",))
    write(site / "b.so", exports=("_PyInit_b",), links=("@loader_path/libend.dylib",))
    (finding,) = found(check()).values()
    assert (finding.symbols, finding.chain) == (("_extra", "_nobody"), ("import b", "b.so", "libend.dylib"))


def addon(site: Path, code: str, **how: object) -> None:
    """A package whose library has no rpath, and one with a module that loads what it needs."""
    write(site / "pkg/libfoo.dylib", exports=("_foo",))
    write(site / "pkg/libbar.dylib", exports=("_bar",))
    loads = ("@loader_path/libfoo.dylib", "@loader_path/libbar.dylib")
    write(site / "pkg/mod.so", exports=("_PyInit_mod",), links=loads)
    write(site / "other/mod.so", exports=("_PyInit_mod",), links=("@loader_path/../pkg/libfoo.dylib",))
    write(site / "addon/libaddon.dylib", **how)  # type: ignore[arg-type]
    (site / "addon" / "__init__.py").write_text(code)
    install(site, "pkg", files=("pkg/mod.so", "pkg/libfoo.dylib", "pkg/libbar.dylib"))
    install(site, "other", files=("other/mod.so",))
    install(site, "addon", files=("addon/libaddon.dylib", "addon/__init__.py"))


BOTH: tuple[str, ...] = ("@rpath/libfoo.dylib", "@rpath/libbar.dylib")


@pytest.mark.parametrize(
    ("code", "loads_after", "missing"),
    [
        ("", None, 2),
        ("import pkg\n", "pkg and addon", 0),
        ("import other\n", None, 1),
        ("import other\nimport pkg\n", "pkg and addon", 0),
        ("import nothing\n", None, 2),
    ],
)
def test_what_a_packages_code_imports_is_loaded_before(
    site: Path, check: Check, code: str, loads_after: str | None, missing: int
) -> None:
    addon(site, code, links=BOTH)
    report = check()
    assert [one.kind for one in found(report).values()] == ["missing-dependency"] * missing
    said = [one for one in report.assumptions if "have been imported" in one]
    expected = f"dlopen addon/libaddon.dylib: it loads once modules of {loads_after} have been imported."
    assert said == ([expected] if loads_after else [])


def test_the_process_in_which_least_is_missing_is_told(site: Path, check: Check) -> None:
    """Symbols count as much as libraries do, those of a missing library with it."""
    addon(site, "import pkg\n", links=BOTH, imports=((1, "_foo"), (1, "_gone"), (2, "_bar")))
    findings = found(check())
    assert {name: one.symbols for name, one in findings.items()} == {"missing-symbol:addon/libaddon.dylib": ("_gone",)}


def test_a_library_of_no_package_is_tried_alone(site: Path, check: Check) -> None:
    addon(site, "import pkg\n", links=BOTH)
    install(site, "addon", files=("addon/__init__.py",))
    assert [one.kind for one in found(check()).values()] == ["missing-dependency"] * 2


def test_a_damaged_table_is_told_once(site: Path, check: Check) -> None:
    """By whatever way it is come across, and the rest of the check goes on."""
    bad = write(site / "libbad.dylib", imports=((1, "_x"),), exports=("_bad",))
    data = bad.read_bytes()
    bad.write_bytes(data.replace(b"\x11\x40_x\0", b"\xf0\x40_x\0"))
    for name in ("a", "b"):
        links = ("@loader_path/libbad.dylib", "@rpath/gone.dylib")
        write(site / f"{name}.so", exports=(f"_PyInit_{name}",), links=links, imports=((1, "_bad"), (1, "_none")))
    findings = check().findings
    assert [one.id for one in findings if one.kind == "damaged"] == ["damaged:libbad.dylib"]
    assert {one.id for one in findings if one.kind.startswith("missing")} == {
        *(f"missing-dependency:{name}.so>@rpath/gone.dylib" for name in ("a", "b")),
        *(f"missing-symbol:{name}.so" for name in ("a", "b")),
    }
    trie = data.index(b"_bad\0")
    bad.write_bytes(data[: trie + 5] + b"\x7f" + data[trie + 6 :])
    assert [one.id for one in check().findings if one.kind == "damaged"] == ["damaged:a.so", "damaged:b.so"]


@pytest.mark.parametrize("hashes", [True, False])
def test_hashes_are_compared_unless_told_otherwise(site: Path, hashes: bool) -> None:
    (site / "one.py").write_text("x = 1\n")
    install(site, "one", files=("one.py",))
    (site / "one.py").write_text("x = 2\n")
    said: list[str] = []
    target = Target("3.11", (14, 4, 0), pjrt_compatibility=False)
    report = check_folder(said.append, site, target, "test", hashes)
    assert ([one.id for one in report.findings], report.choices[0].counts.hashed) == (
        (["record:one"], 3) if hashes else ([], 0)
    )
    assert said == [
        "reading the files",
        "comparing 4 files with what 1 packages say of them",
        "following the loads of 0 Mach-O images",
    ]


def test_copies_of_a_runtime_are_told_with_what_loads_them(site: Path, check: Check) -> None:
    """Statements by the package that they import; a damaged file is no copy."""
    omp = {"exports": ("___kmpc_fork_call",)}
    write(site / "a/libomp.dylib", **omp)  # type: ignore[arg-type]
    assert found(check()) == {}
    write(site / "b/libomp.dylib", **omp)  # type: ignore[arg-type]
    bad = write(site / "b/libbad.dylib", **omp)  # type: ignore[arg-type]
    bad.write_bytes(bad.read_bytes().replace(b"___kmpc_fork_call\0", b"___kmpc_fork_call\xff"))
    for name in ("a/x", "a/y", "a/sub/z"):
        folder = "@loader_path/.." if "sub" in name else "@loader_path"
        init = f"_PyInit_{name.rpartition('/')[2]}"
        write(site / f"{name}.so", exports=(init,), links=(f"{folder}/libomp.dylib",))
    write(site / "top.so", exports=("_PyInit_top",), links=("@loader_path/a/libomp.dylib",))
    finding = found(check())["duplicate-runtime:openmp"]
    assert finding.details == ("a/libomp.dylib: import a.* (3), import top", "b/libomp.dylib: dlopen b/libomp.dylib")
    assert finding.message.startswith("2 copies")


@pytest.mark.parametrize(
    ("files", "points", "said"),
    [
        (("tensorflow-plugins/libx.dylib",), "", None),
        (("tensorflow-plugins/libx.so",), "", None),
        (("tensorflow-plugins/libx.txt",), "", "no shared object in tensorflow-plugins/"),
        (("tensorflow-plugins/deeper/libx.so",), "", "no shared object in tensorflow-plugins/"),
        (("elsewhere/libx.so",), "", None),
        (("jax_plugins/x/__init__.py", "jax_plugins/x/p.dylib"), "", None),
        (("jax_plugins/x/__init__.py", "jax_plugins/x/p.so"), "", None),
        (("jax_plugins/x/__init__.py", "jax_plugins/x/p.txt"), "", "no shared object that loads beside jax_plugins.x"),
        (("jax_plugins/x/__init__.py", "jax_plugins/p.so"), "", "no shared object that loads beside jax_plugins.x"),
        (("x/y.py", "x/p.so"), "jax_plugins", None),
        (("x/y.py", "z/p.so"), "jax_plugins", "no shared object that loads beside x.y"),
        (("x/y/__init__.py", "x/y/p.so"), "jax_plugins", None),
        (("x/z.py", "x/p.so"), "jax_plugins", "its module x.y does not exist"),
        (("x/z.py", "x/p.so"), "other", None),
    ],
)
def test_plugins_where_their_frameworks_look(
    site: Path, check: Check, files: tuple[str, ...], points: str, said: str | None
) -> None:
    for name in files:
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".py"):
            (site / name).write_text("")
        else:
            write(site / name, exports=("_SE_InitPlugin", "_GetPjrtApi"))
    install(site, "tensorflow-x", files=files, entry_points=f"[{points}]\na = x.y [extra] : z\n" if points else "")
    findings = found(check())
    assert list(findings) == ([] if said is None else ["plugin-entry:tensorflow-x"])
    assert said is None or said in findings["plugin-entry:tensorflow-x"].message


def test_every_plugin_of_a_package_is_checked(site: Path, check: Check) -> None:
    """The second module too, where the first does not exist or is without effect."""
    for name in ("a", "c"):
        write(site / "jax_plugins" / name / "p.so")
        (site / "jax_plugins" / name / "__init__.py").write_text("")
    files = tuple(f"jax_plugins/{name}/{file}" for name in ("a", "c") for file in ("p.so", "__init__.py"))
    points = "[jax_plugins]\na = jax_plugins.a\nb = jax_plugins.b\nc = jax_plugins.c\n"
    install(site, "x", files=files, entry_points=points)
    findings = found(check())
    assert list(findings) == ["plugin-entry:x", "plugin-entry:jax_plugins/a/p.so", "plugin-entry:jax_plugins/c/p.so"]
    entry = findings["plugin-entry:jax_plugins/a/p.so"]
    assert entry.chain == ("jax.devices()", "jax_plugins/a/p.so")
    assert "does not export _GetPjrtApi, which jax calls first" in entry.message


@pytest.mark.parametrize(
    "more",
    [b"", b"\x51", b"\x60\x05", b"\x72\x80\x01", b"\x80\x08"],
    ids=["none", "type", "addend", "segment", "address"],
)
def test_opcodes_that_change_no_symbol_are_passed_over(more: bytes) -> None:
    bind = b"\x11\x40_foo\0" + more + b"\x90\x00"
    assert list(linkedit._opcodes(bind, lazy=False)) == [linkedit.Import(1, "_foo", False)]


ABI = b"module compiled against ABI version 0x%x but this version of numpy is 0x%x\0"
OLD, NEW, PYBIND11 = (
    b"\0numpy.core._multiarray_umath\0",
    b"\0numpy._core._multiarray_umath\0",
    b"\0numpy.core.multiarray\0",
)


REQUIRES = ("numpy>=1.21", "NumPy<9", "numpy<2; sys_platform == 'linux'", "numpy<2; extra == 'old'")


def extension(path: Path, *strings: bytes, asks: bool = True) -> None:
    """An extension module with strings in it, and the call by which NumPy's table is had."""
    imports = ((-2, "_PyCapsule_GetPointer"),) if asks else ()
    write(path, imports=imports, exports=(f"_PyInit_{path.name.partition('.')[0]}",))
    path.write_bytes(path.read_bytes() + b"".join(strings))


@pytest.mark.parametrize(
    ("strings", "numpy", "refused"),
    [
        ((ABI, OLD), "2.0.0", True),
        ((ABI, OLD), "3.0", True),
        ((ABI, OLD), "1.26.4", False),
        ((ABI, OLD), "not a version", False),
        ((ABI, OLD, NEW), "2.3.4", False),
        ((ABI,), "2.3.4", True),
        ((NEW,), "2.3.4", False),
        ((OLD,), "2.3.4", False),
        ((PYBIND11,), "2.3.4", True),  # pybind11 before 2.12
        ((PYBIND11, NEW), "2.3.4", False),
        ((), "2.3.4", False),
    ],
)
def test_extensions_for_another_numpy(
    site: Path, check: Check, strings: tuple[bytes, ...], numpy: str, refused: bool
) -> None:
    for name in ("b", "a"):
        extension(site / f"pkg/{name}.so", *strings)
    extension(site / "pkg/quiet.so", *strings, asks=False)
    extension(site / "numpy/own.so", *strings)
    install(site, "pkg", files=("pkg/b.so", "pkg/a.so", "pkg/quiet.so"), requires=REQUIRES)
    install(site, "numpy", version=numpy, files=("numpy/own.so",))
    findings = {key: one for key, one in found(check()).items() if key.startswith("numpy-abi")}
    assert list(findings) == (["numpy-abi:pkg"] if refused else [])
    if refused:
        (finding,) = findings.values()
        assert finding.details == ("pkg/a.so", "pkg/b.so")
        assert finding.message.startswith(f"2 file(s) are compiled against NumPy 1.x, and numpy {numpy} refuses those")
        assert finding.message.endswith("pkg 1.0 declares >=1.21 and <9.")
        assert document.concerns(finding, {"pkg"})


@pytest.mark.parametrize(
    ("requires", "said"), [((), "declares nothing of NumPy."), (("numpy",), "declares any version.")]
)
def test_what_a_package_says_of_numpy(site: Path, check: Check, requires: tuple[str, ...], said: str) -> None:
    extension(site / "pkg.so", ABI)
    install(site, "pkg", files=("pkg.so",), requires=requires)
    install(site, "numpy", version="2.0")
    assert found(check())["numpy-abi:pkg"].message.endswith(said)


def test_without_numpy_nothing_is_refused(site: Path, check: Check) -> None:
    extension(site / "pkg.so", ABI)
    assert "numpy-abi:pkg" not in found(check())


def test_an_extension_of_no_package(site: Path, check: Check) -> None:
    extension(site / "loose.so", ABI)
    install(site, "numpy", version="2.0")
    assert found(check())["numpy-abi:loose.so"].message.endswith("when they are imported.")


def test_the_other_slices_strings_do_not_count(site: Path, check: Check) -> None:
    extension(site / "arm.so")
    extension(site / "intel.so", ABI)
    fat(site / "both.so", (X86_64, site / "intel.so"), (ARM64, site / "arm.so"))
    (site / "intel.so").unlink()
    install(site, "numpy", version="2.0")
    assert not [key for key in found(check()) if key.startswith("numpy-abi")]


def protobuf(path: Path, *, older: bool) -> None:
    write(path, exports=(runtimes.PROTOBUF, *([runtimes.OLDER_PROTOBUF] if older else [])))


def test_protobufs_that_break_each_other(site: Path, check: Check) -> None:
    """Of two kinds, and in different packages: all of the older kind go together, and what is not shown is alone."""
    for name, older in (("old/a.dylib", True), ("old/b.dylib", True), ("older/a.dylib", True), ("both/a.dylib", True)):
        protobuf(site / name, older=older)
    for name in ("old", "older"):
        files = tuple(str(path.relative_to(site)) for path in (site / name).iterdir())
        install(site, name, files=files)
    write(site / "hidden/a.dylib", exports=(runtimes.OLDER_PROTOBUF,))
    assert not [key for key in found(check()) if key.startswith("mixed-runtime")]
    protobuf(site / "both/b.dylib", older=False)
    install(site, "both", files=("both/a.dylib", "both/b.dylib"))
    findings = {key: one for key, one in found(check()).items() if key.startswith("mixed-runtime")}
    assert list(findings) == ["mixed-runtime:both+old", "mixed-runtime:both+older"]
    assert findings["mixed-runtime:both+old"].details == ("both/b.dylib", "old/a.dylib", "old/b.dylib")
    assert document.concerns(findings["mixed-runtime:both+old"], {"both", "old"})
