"""Planted faults in libraries, links and symbols: each is found, and what is right is not complained about."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from verify.linkcheck import macho
from verify.linkcheck.command import check_folder
from verify.linkcheck.findings import Finding
from verify.linkcheck.packages import Target
from verify.linkcheck.report import Report

from .machos import (
    LC_LOAD_WEAK_DYLIB,
    LC_REEXPORT_DYLIB,
    PYTHON_TAG,
    Toolchain,
    add_platform,
    chain,
    change_build,
    change_link,
    change_subtype,
    change_type,
    fat,
    install,
    reexport_symbol,
)

Check = Callable[[], Report]
FOO = "int foo(void) { return 1; }"
USE_FOO = "int foo(void); int use(void) { return foo(); }"
X86_64, ARM64 = 0x01000007, 0x0100000C


def found(report: Report, *kinds: str) -> list[Finding]:
    """Findings of some kinds; without any named, all but those about files that belong to no package."""
    return [one for one in report.findings if (one.kind in kinds if kinds else one.kind != "no-owner")]


def module_with_library(toolchain: Toolchain, site: Path, library: str = FOO) -> tuple[Path, Path]:
    """A module that uses foo() of a library beside it."""
    lib = toolchain.build(site / "pkg" / "libfoo.dylib", library)
    module = toolchain.module(site / "pkg" / f"mod.{PYTHON_TAG}.so", USE_FOO, links=(lib,), rpaths=("@loader_path",))
    return module, lib


def test_what_is_right_is_not_complained_about(toolchain: Toolchain, site: Path, check: Check) -> None:
    module_with_library(toolchain, site)
    report = check()
    assert found(report) == []
    assert (report.choices[0].counts.images, report.choices[0].counts.processes) == (2, 1)
    assert report.choices[0].counts.symbols >= 1


def test_missing_dependency(toolchain: Toolchain, site: Path, check: Check) -> None:
    _, lib = module_with_library(toolchain, site)
    lib.unlink()
    (finding,) = found(check())
    assert finding.kind == "missing-dependency"
    assert finding.chain == ("import pkg.mod", f"pkg/mod.{PYTHON_TAG}.so")
    assert "@rpath/libfoo.dylib" in finding.message
    assert finding.details == ("pkg/libfoo.dylib (no such file)",)
    assert finding.symbols == ("_foo",)  # and nothing else has what it takes from there


def test_a_missing_library_may_be_weak(toolchain: Toolchain, site: Path, check: Check) -> None:
    weak_use = "extern int foo(void) __attribute__((weak_import)); int use(void) { return foo ? foo() : 0; }"
    lib = toolchain.build(site / "pkg" / "libfoo.dylib", FOO)
    module = toolchain.module(site / "pkg" / f"mod.{PYTHON_TAG}.so", weak_use, links=(lib,), rpaths=("@loader_path",))
    change_link(module, "@rpath/libfoo.dylib", LC_LOAD_WEAK_DYLIB)
    lib.unlink()
    assert found(check()) == []


def test_a_weak_library_does_not_make_its_symbols_weak(toolchain: Toolchain, site: Path, check: Check) -> None:
    module, lib = module_with_library(toolchain, site)
    change_link(module, "@rpath/libfoo.dylib", LC_LOAD_WEAK_DYLIB)
    lib.unlink()
    (finding,) = found(check())
    assert (finding.kind, finding.symbols) == ("missing-symbol", ("_foo",))


def test_missing_symbol(toolchain: Toolchain, site: Path, check: Check) -> None:
    _, lib = module_with_library(toolchain, site)
    toolchain.build(lib, "int other(void) { return 1; }")
    (finding,) = found(check())
    assert finding.kind == "missing-symbol"
    assert finding.symbols == ("_foo",)
    assert finding.chain == ("import pkg.mod", f"pkg/mod.{PYTHON_TAG}.so")
    assert finding.message.endswith("not exported by pkg/libfoo.dylib.")


def test_a_missing_weak_symbol_is_fine(toolchain: Toolchain, site: Path, check: Check) -> None:
    weak_use = "extern int foo(void) __attribute__((weak_import)); int use(void) { return foo ? foo() : 0; }"
    lib = toolchain.build(site / "pkg" / "libfoo.dylib", FOO)
    toolchain.module(site / "pkg" / f"mod.{PYTHON_TAG}.so", weak_use, links=(lib,), rpaths=("@loader_path",))
    toolchain.build(lib, "int other(void) { return 1; }")
    assert found(check()) == []


def test_a_symbol_in_another_library_does_not_count(toolchain: Toolchain, site: Path, check: Check) -> None:
    """Two-level namespace: foo is bound to libfoo, and that libbar has it too does not help."""
    lib = toolchain.build(site / "pkg" / "libfoo.dylib", FOO)
    other = toolchain.build(site / "pkg" / "libbar.dylib", "int bar(void) { return 1; }")
    use = USE_FOO + " int bar(void); int use2(void) { return bar(); }"
    toolchain.module(site / "pkg" / f"mod.{PYTHON_TAG}.so", use, links=(lib, other), rpaths=("@loader_path",))
    assert found(check()) == []
    toolchain.build(lib, "int nothing(void) { return 1; }")
    toolchain.build(other, FOO + " int bar(void) { return 1; }")
    (finding,) = found(check())
    assert finding.symbols == ("_foo",)
    assert "pkg/libfoo.dylib" in finding.message


def reexporting(toolchain: Toolchain, site: Path) -> Path:
    """A module that uses foo() of libfoo, which only re-exports libreal; returns libreal."""
    real = toolchain.build(site / "pkg" / "libreal.dylib", FOO)
    use_real = "int foo(void); int top(void) { return foo(); }"
    stub = toolchain.build(site / "pkg" / "libfoo.dylib", FOO)
    toolchain.module(site / "pkg" / f"mod.{PYTHON_TAG}.so", USE_FOO, links=(stub,), rpaths=("@loader_path",))
    toolchain.build(stub, use_real, links=(real,))
    change_link(stub, "@rpath/libreal.dylib", LC_REEXPORT_DYLIB)
    return real


def test_a_reexport_counts(toolchain: Toolchain, site: Path, check: Check) -> None:
    reexporting(toolchain, site)
    assert found(check()) == []


def test_a_reexport_of_nothing(toolchain: Toolchain, site: Path, check: Check) -> None:
    toolchain.build(reexporting(toolchain, site), "int other(void) { return 1; }")
    findings = found(check())
    assert {one.kind for one in findings} == {"missing-symbol"}
    assert {one.subject for one in findings} == {f"pkg/mod.{PYTHON_TAG}.so", "pkg/libfoo.dylib"}


def test_a_reexported_library_that_is_missing(toolchain: Toolchain, site: Path, check: Check) -> None:
    reexporting(toolchain, site).unlink()
    assert "missing-dependency" in {one.kind for one in found(check())}


def test_a_single_symbol_may_be_reexported_under_another_name(toolchain: Toolchain, site: Path, check: Check) -> None:
    real = toolchain.build(site / "pkg" / "libreal.dylib", "int real_foo(void) { return 1; }")
    stub = toolchain.build(site / "pkg" / "libfoo.dylib", FOO)
    toolchain.module(site / "pkg" / f"mod.{PYTHON_TAG}.so", USE_FOO, links=(stub,), rpaths=("@loader_path",))
    toolchain.build(stub, "int real_foo(void); int top(void) { return real_foo(); }", links=(real,))
    reexport_symbol(stub, "_foo", "@rpath/libreal.dylib", "_real_foo")
    assert found(check()) == []
    reexport_symbol(stub, "_foo", "@rpath/libreal.dylib", "_gone")
    (finding,) = found(check())
    assert (finding.subject, finding.symbols) == (f"pkg/mod.{PYTHON_TAG}.so", ("_foo",))


@pytest.mark.parametrize("where", ["nowhere", "own", "other", "libc++"])
def test_a_weak_definition_may_come_from_any_image(toolchain: Toolchain, site: Path, check: Check, where: str) -> None:
    """C++ definitions that all images share; those of libc++ are not known and taken to be there."""
    own, other, libcpp = (where == one for one in ("own", "other", "libc++"))
    lib = toolchain.build(site / "pkg" / "libfoo.dylib", FOO + (" int shared(void) { return 1; }" if other else ""))
    cpp = toolchain.build(
        site.parent / "libc++.dylib",
        "int cpp(void) { return 1; }",
        install_name="/usr/lib/libc++.1.dylib" if libcpp else "/usr/lib/libz.1.dylib",
    )
    use = "int foo(void); int cpp(void); int need(void); int use(void) { return foo() + cpp() + need(); }"
    use += " int shared(void) { return 2; }" if own else ""
    module = toolchain.module(
        site / "pkg" / f"mod.{PYTHON_TAG}.so",
        use,
        links=(lib, cpp),
        rpaths=("@loader_path",),
        options=("-Wl,-undefined,dynamic_lookup",),
    )
    chain(module, form=1, weak_lookup={"_need": "_shared"})
    assert [one.symbols for one in found(check())] == ([("_shared",)] if where == "nowhere" else [])


def test_a_link_without_reexport_does_not_export(toolchain: Toolchain, site: Path, check: Check) -> None:
    real = toolchain.build(site / "pkg" / "libreal.dylib", FOO)
    stub = toolchain.build(site / "pkg" / "libfoo.dylib", FOO)
    toolchain.module(site / "pkg" / f"mod.{PYTHON_TAG}.so", USE_FOO, links=(stub,), rpaths=("@loader_path",))
    toolchain.build(stub, "int foo(void); int top(void) { return foo(); }", links=(real,))
    (finding,) = found(check())
    assert (finding.subject, finding.symbols) == (f"pkg/mod.{PYTHON_TAG}.so", ("_foo",))


def test_the_rpaths_of_whoever_loaded_it_count(toolchain: Toolchain, site: Path, check: Check) -> None:
    """libfoo finds libdeep by the module's rpath, which it does not have itself."""
    deep = toolchain.build(site / "pkg" / "deep" / "libdeep.dylib", "int deep(void) { return 1; }")
    lib = toolchain.build(
        site / "pkg" / "libfoo.dylib", "int deep(void); int foo(void) { return deep(); }", links=(deep,)
    )
    rpaths = ("@loader_path", "@loader_path/deep")
    module = toolchain.module(site / "pkg" / f"mod.{PYTHON_TAG}.so", USE_FOO, links=(lib,), rpaths=rpaths)
    assert found(check()) == []
    module.unlink()
    (finding,) = found(check())  # on its own it does not load
    assert (finding.kind, finding.chain[0]) == ("missing-dependency", "dlopen")


def test_a_library_that_only_links_is_found_by_the_name_that_is_loaded(
    toolchain: Toolchain, site: Path, check: Check
) -> None:
    """The way of torchaudio: no rpath at all, but the package imports another one that has the library."""
    module_with_library(toolchain, site)
    toolchain.build(site / "addon" / "libaddon.dylib", USE_FOO, links=(site / "pkg" / "libfoo.dylib",))
    (site / "addon" / "__init__.py").write_text("import pkg\n")
    install(site, "pkg", files=(f"pkg/mod.{PYTHON_TAG}.so", "pkg/libfoo.dylib"))
    install(site, "addon", files=("addon/libaddon.dylib", "addon/__init__.py"))
    report = check()
    assert found(report) == []
    assert any("libaddon.dylib" in one and "pkg" in one for one in report.assumptions)
    (site / "addon" / "__init__.py").write_text("")
    install(site, "addon", files=("addon/libaddon.dylib", "addon/__init__.py"))
    assert [one.kind for one in found(check())] == ["missing-dependency"]


def test_the_shortest_chain_of_reasons_is_shown(toolchain: Toolchain, site: Path, check: Check) -> None:
    deep = toolchain.build(site / "pkg" / "libdeep.dylib", "int deep(void) { return 1; }")
    lib = toolchain.build(
        site / "pkg" / "libfoo.dylib", "int deep(void); int foo(void) { return deep(); }", links=(deep,)
    )
    via = toolchain.build(site / "pkg" / "libvia.dylib", "int foo(void); int via(void) { return foo(); }", links=(lib,))
    use_via = "int via(void); int use(void) { return via(); }"
    for name, body, link in (("a", use_via, via), ("b", USE_FOO, lib), ("c", use_via, via)):
        path = site / "pkg" / f"{name}.{PYTHON_TAG}.so"
        toolchain.module(path, body, links=(link,), rpaths=("@loader_path",))
    deep.unlink()
    (finding,) = found(check())
    assert finding.chain == ("import pkg.b", f"pkg/b.{PYTHON_TAG}.so", "pkg/libfoo.dylib")


def test_the_reason_is_what_is_missing_once_all_else_is_imported(
    toolchain: Toolchain, site: Path, check: Check
) -> None:
    """torchaudio 2.11 with torch 2.9: the one symbol, not the rpaths that it does without."""
    module_with_library(toolchain, site, FOO + " int bar(void) { return 1; }")
    use = USE_FOO + " int bar(void); int use2(void) { return bar(); }"
    toolchain.build(site / "addon" / "libaddon.dylib", use, links=(site / "pkg" / "libfoo.dylib",))
    (site / "addon" / "__init__.py").write_text("import pkg\n")
    install(site, "addon", files=("addon/libaddon.dylib", "addon/__init__.py"))
    toolchain.build(site / "pkg" / "libfoo.dylib", FOO)
    install(site, "pkg", files=(f"pkg/mod.{PYTHON_TAG}.so", "pkg/libfoo.dylib"))
    (finding,) = found(check())
    assert (finding.kind, finding.symbols) == ("missing-symbol", ("_bar",))
    assert finding.chain == ("dlopen", "addon/libaddon.dylib")


def test_libraries_of_a_package_count_for_its_modules(toolchain: Toolchain, site: Path, check: Check) -> None:
    """torchaudio 2.9: its module links by `@rpath` to a library that its Python code opens before."""
    lib = toolchain.build(site / "pkg" / "libfoo.so", FOO)
    toolchain.module(site / "pkg" / f"mod.{PYTHON_TAG}.so", USE_FOO, links=(lib,))
    install(site, "pkg", files=(f"pkg/mod.{PYTHON_TAG}.so", "pkg/libfoo.so"))
    assert found(check()) == []


def tensorflow(toolchain: Toolchain, site: Path, internal: str) -> Path:
    """Stand-ins for TensorFlow and tensorflow-metal, linked as the real ones are; returns TensorFlow's library.

    The plugin links to `@rpath/_pywrap_tensorflow_internal.so`, its rpath leads nowhere, and its symbols are flat.
    """
    library = toolchain.module(site / "tensorflow" / "python" / "_pywrap_tensorflow_internal.so", internal)
    source = "int SE_InitPlugin(void); int log_message(void); int SE_InitPlugin(void) { return log_message(); }"
    plugin = toolchain.build(
        site / "tensorflow-plugins" / "libmetal_plugin.dylib",
        source,
        install_name="bazel-out/libmetal_plugin.dylib",
        links=(toolchain.build(site.parent / "_pywrap_tensorflow_internal.so", "int unused(void) { return 1; }"),),
        rpaths=("@loader_path/../_solib_darwin_arm64/nowhere",),
        options=("-Wl,-undefined,dynamic_lookup",),
    )
    install(site, "tensorflow", files=(str(library.relative_to(site)),))
    install(site, "tensorflow-metal", files=(str(plugin.relative_to(site)),))
    return library


def test_a_plugin_whose_framework_has_its_symbols(toolchain: Toolchain, site: Path, check: Check) -> None:
    tensorflow(toolchain, site, "int log_message(void) { return 1; }")
    assert found(check()) == []


def test_a_plugin_that_misses_a_symbol_of_its_framework(toolchain: Toolchain, site: Path, check: Check) -> None:
    """tensorflow#84167: a flat lookup that no loaded image answers, at `import tensorflow`."""
    tensorflow(toolchain, site, "int another_message(void) { return 1; }")
    (finding,) = found(check())
    assert finding.kind == "missing-symbol"
    assert finding.symbols == ("_log_message",)
    assert finding.chain == ("import tensorflow", "tensorflow-plugins/libmetal_plugin.dylib")


def test_only_dylibs_are_found_by_their_install_name(toolchain: Toolchain, site: Path, check: Check) -> None:
    """A plugin that links to the loaded library by `@rpath`: found as a dylib, not found as a bundle."""
    library = tensorflow(toolchain, site, "int log_message(void) { return 1; }")
    plugin = toolchain.build(
        site / "tensorflow-plugins" / "libmetal_plugin.dylib",
        "int log_message(void); int SE_InitPlugin(void) { return log_message(); }",
        links=(library,),
        rpaths=("@loader_path/nowhere",),
    )
    install(site, "tensorflow-metal", files=(str(plugin.relative_to(site)),))
    assert found(check()) == []
    change_type(library, macho.BUNDLE)
    install(site, "tensorflow", files=(str(library.relative_to(site)),))
    (finding,) = found(check())
    assert finding.kind == "missing-dependency"
    assert finding.details == ("tensorflow-plugins/nowhere/_pywrap_tensorflow_internal.so (no such file)",)


def test_the_rpaths_of_whoever_opens_a_plugin_count(toolchain: Toolchain, site: Path, check: Check) -> None:
    """The first of TensorFlow's libraries calls dlopen; a library beside it is found by its rpath only."""
    extra = toolchain.build(site / "tensorflow" / "extra" / "libextra.dylib", "int extra(void) { return 1; }")
    framework = toolchain.build(
        site / "tensorflow" / "libtensorflow_framework.2.dylib", FOO, rpaths=("@loader_path/extra",)
    )
    plugin = toolchain.build(
        site / "tensorflow-plugins" / "libmetal_plugin.dylib",
        "int extra(void); int SE_InitPlugin(void) { return extra(); }",
        links=(extra,),
    )
    install(site, "tensorflow-metal", files=(str(plugin.relative_to(site)),))
    assert found(check()) == []
    framework.unlink()
    assert [one.kind for one in found(check())] == ["missing-dependency"]


def test_a_plugin_without_the_entry_that_its_framework_calls(toolchain: Toolchain, site: Path, check: Check) -> None:
    plugin = toolchain.build(site / "tensorflow-plugins" / "libmetal_plugin.dylib", FOO)
    install(site, "tensorflow-metal", files=(str(plugin.relative_to(site)),))
    (finding,) = found(check())
    assert finding.kind == "plugin-entry"
    assert "_SE_InitPlugin" in finding.message


def test_a_plugin_where_its_framework_does_not_look(toolchain: Toolchain, site: Path, check: Check) -> None:
    toolchain.build(site / "jax_plugins" / "metal_plugin" / "plugin.dylib", "int GetPjrtApi(void) { return 1; }")
    points = "[jax_plugins]\nmetal_plugin = jax_plugins.metal_plugin\n"
    install(site, "jax-metal", files=("jax_plugins/metal_plugin/plugin.dylib",), entry_points=points)
    (finding,) = found(check())
    assert finding.kind == "plugin-entry"
    assert "jax_plugins.metal_plugin does not exist" in finding.message


def test_a_file_for_another_processor(toolchain: Toolchain, site: Path, check: Check) -> None:
    _, lib = module_with_library(toolchain, site)
    toolchain.build(lib, FOO, arch="x86_64")
    kinds = {one.kind: one for one in found(check())}
    assert set(kinds) == {"no-arm64", "missing-dependency"}
    assert "only x86_64" in kinds["no-arm64"].message
    assert kinds["missing-dependency"].details == ("pkg/libfoo.dylib (it has no arm64 slice, only x86_64)",)


def test_a_file_for_apples_own_programs(toolchain: Toolchain, site: Path, check: Check) -> None:
    """arm64e: dyld does not load it into a process that is not."""
    _, lib = module_with_library(toolchain, site)
    change_subtype(lib, 2)
    kinds = {one.kind: one for one in found(check())}
    assert "only arm64e" in kinds["no-arm64"].message
    arm = toolchain.build(site.parent / "arm.dylib", FOO, install_name="@rpath/libfoo.dylib")
    fat(lib, (ARM64, arm), subtype=0x80000002)
    assert "only arm64e" in {one.kind: one for one in found(check())}["no-arm64"].message


def test_a_fat_file_that_ends_before_its_slice(toolchain: Toolchain, site: Path, check: Check) -> None:
    _, lib = module_with_library(toolchain, site)
    arm = toolchain.build(site.parent / "arm.dylib", FOO, install_name="@rpath/libfoo.dylib")
    fat(lib, (ARM64, arm))
    os.truncate(lib, lib.stat().st_size - 0x4000)
    (finding,) = found(check(), "damaged")
    assert "ends after the file" in finding.message


@pytest.mark.parametrize("filetype", [macho.EXECUTE, macho.BUNDLE])
def test_only_dylibs_can_be_linked_to(toolchain: Toolchain, site: Path, check: Check, filetype: int) -> None:
    _, lib = module_with_library(toolchain, site)
    change_type(lib, filetype)
    (finding,) = found(check(), "missing-dependency")
    assert finding.details == ("pkg/libfoo.dylib (it is not a library that can be linked to)",)


def test_a_program_is_its_own_executable_path(toolchain: Toolchain, site: Path, check: Check) -> None:
    name = "@executable_path/../lib/libfoo.dylib"
    lib = toolchain.build(site / "pkg" / "lib" / "libfoo.dylib", FOO, install_name=name)
    program = toolchain.build(site / "pkg" / "bin" / "tool", USE_FOO, links=(lib,))
    change_type(program, macho.EXECUTE)
    assert found(check()) == []
    lib.unlink()
    (finding,) = found(check())
    assert finding.chain == ("run", "pkg/bin/tool")


def test_a_file_for_two_platforms(toolchain: Toolchain, site: Path, check: Check) -> None:
    _, lib = module_with_library(toolchain, site)
    add_platform(lib, 6)
    assert found(check()) == []


def test_a_fat_file_with_an_arm64_slice(toolchain: Toolchain, site: Path, check: Check) -> None:
    _, lib = module_with_library(toolchain, site)
    intel = toolchain.build(site.parent / "intel.dylib", "int other(void) { return 1; }", arch="x86_64")
    arm = toolchain.build(site.parent / "arm.dylib", FOO, install_name="@rpath/libfoo.dylib")
    fat(lib, (X86_64, intel), (ARM64, arm))
    assert found(check()) == []


def test_a_file_for_a_newer_macos(toolchain: Toolchain, site: Path, check: Check) -> None:
    _, lib = module_with_library(toolchain, site)
    toolchain.build(lib, FOO, macos="15.0")
    (finding,) = found(check())
    assert (finding.kind, finding.subject) == ("too-new", "pkg/libfoo.dylib")
    assert "15.0" in finding.message
    assert finding.releases == ("14.4",)


def test_a_file_for_another_platform(toolchain: Toolchain, site: Path, check: Check) -> None:
    _, lib = module_with_library(toolchain, site)
    change_build(lib, platform=2)
    (finding,) = found(check())
    assert (finding.kind, finding.message) == ("wrong-platform", "It is built for iOS, not for macOS.")


@pytest.mark.parametrize("kept", [2, 20, 40, 200, 2000, -1])
def test_a_cut_off_file(toolchain: Toolchain, site: Path, check: Check, kept: int) -> None:
    _, lib = module_with_library(toolchain, site)
    lib.write_bytes(lib.read_bytes()[:kept])
    findings = found(check())
    assert any(one.kind in ("damaged", "missing-dependency") for one in findings)


def test_something_that_is_no_file(site: Path, check: Check) -> None:
    os.mkfifo(site / "pipe")
    (finding,) = found(check())
    assert finding.id == "special-file:pipe"


def test_links_in_a_circle_and_out_of_the_folder(toolchain: Toolchain, site: Path, check: Check) -> None:
    _, lib = module_with_library(toolchain, site)
    lib.unlink()
    lib.symlink_to("libother.dylib")
    (site / "pkg" / "libother.dylib").symlink_to("libfoo.dylib")
    (site / "pkg" / "passwords").symlink_to("/etc/passwd")
    (site / "pkg" / "up").symlink_to("../../../../../..")
    kinds = {(one.kind, one.subject) for one in found(check())}
    assert ("dead-link", "pkg/libfoo.dylib") in kinds
    assert ("leaves-folder", "pkg/passwords") in kinds
    assert ("leaves-folder", "pkg/up") in kinds
    assert any(kind == "missing-dependency" for kind, _ in kinds)


def test_a_link_within_the_folder_is_followed(toolchain: Toolchain, site: Path, check: Check) -> None:
    _, lib = module_with_library(toolchain, site)
    (site / "real").mkdir()
    lib.rename(site / "real" / "libfoo.1.dylib")
    lib.symlink_to("../real/libfoo.1.dylib")
    assert found(check()) == []


def test_a_path_that_leaves_the_folder(toolchain: Toolchain, site: Path, check: Check) -> None:
    outside = toolchain.build(
        site.parent / "libout.dylib", FOO, install_name="@loader_path/../../../../../../../etc/libout.dylib"
    )
    toolchain.module(site / "pkg" / f"mod.{PYTHON_TAG}.so", USE_FOO, links=(outside,))
    (finding,) = found(check())
    assert finding.kind == "missing-dependency"
    assert "outside the environment" in finding.details[0]


def test_the_folder_of_whoever_built_it_is_not_there(toolchain: Toolchain, site: Path, check: Check) -> None:
    outside = toolchain.build(site.parent / "libout.dylib", FOO, install_name="/opt/homebrew/lib/libout.dylib")
    toolchain.module(site / "pkg" / f"mod.{PYTHON_TAG}.so", USE_FOO, links=(outside,))
    (finding,) = found(check())
    assert finding.details == ("/opt/homebrew/lib/libout.dylib (outside the environment's packages)",)


def test_macos_libraries(toolchain: Toolchain, site: Path, check: Check) -> None:
    """Those that are known are there; others are taken to be, and said so."""
    known = toolchain.build(site.parent / "a.dylib", FOO, install_name="/usr/lib/libobjc.A.dylib")
    unknown = toolchain.build(
        site.parent / "b.dylib", "int bar(void) { return 1; }", install_name="/usr/lib/libnew.dylib"
    )
    use = USE_FOO + " int bar(void); int use2(void) { return bar(); }"
    toolchain.module(site / "pkg" / f"mod.{PYTHON_TAG}.so", use, links=(known, unknown))
    report = check()
    assert found(report) == []
    assert "macOS has /usr/lib/libnew.dylib." in report.assumptions
    assert not any("libobjc" in one for one in report.assumptions)
    assert report.choices[0].counts.system_symbols == 3  # with dyld_stub_binder, which the linker adds


def test_a_library_seen_only_in_a_newer_macos_is_assumed(toolchain: Toolchain, site: Path) -> None:
    name = "/System/Library/Frameworks/Metal.framework/Versions/A/Metal"  # known from the SDK of macOS 14.0
    toolchain.module(
        site / f"mod.{PYTHON_TAG}.so",
        USE_FOO,
        links=(toolchain.build(site.parent / "a.dylib", FOO, install_name=name),),
    )
    said = [
        check_folder(lambda _: None, site, Target("3.11", floor, pjrt_compatibility=False), "test").assumptions
        for floor in ((14, 0, 0), (13, 0, 0))
    ]
    assert [f"macOS has {name}." in one for one in said] == [False, True]


def test_old_files_find_macos_libraries_by_their_last_name(toolchain: Toolchain, site: Path, check: Check) -> None:
    """dyld looks in /usr/lib at last, for files built before the SDK of macOS 13."""
    gone = toolchain.build(site.parent / "libz.dylib", FOO, install_name="/opt/local/lib/libz.1.dylib")
    module = toolchain.module(site / f"mod.{PYTHON_TAG}.so", USE_FOO, links=(gone,))
    change_build(module, sdk=12)
    assert found(check()) == []
    change_build(module, sdk=13)
    assert [one.kind for one in found(check())] == ["missing-dependency"]


def test_a_flat_symbol_of_macos(toolchain: Toolchain, site: Path, check: Check) -> None:
    """objc_msgSend may be looked up flat where libobjc is loaded."""
    use = "int objc_msgSend(void); int foo(void); int use(void) { return objc_msgSend() + foo(); }"
    dynamic = ("-Wl,-undefined,dynamic_lookup",)
    objc = toolchain.build(site.parent / "libobjc.dylib", FOO, install_name="/usr/lib/libobjc.A.dylib")
    toolchain.module(site / f"mod.{PYTHON_TAG}.so", use, links=(objc,), options=dynamic)
    assert found(check()) == []
    without = "int objc_msgSend(void); int use(void) { return objc_msgSend(); }"
    toolchain.module(site / f"mod.{PYTHON_TAG}.so", without, options=dynamic)
    (finding,) = found(check())
    assert finding.symbols == ("_objc_msgSend",)


def test_libpython_comes_with_python(toolchain: Toolchain, site: Path, check: Check) -> None:
    python = toolchain.build(site.parent / "p.dylib", FOO, install_name="@executable_path/../lib/libpython3.11.dylib")
    toolchain.module(site / "pkg" / f"mod.{PYTHON_TAG}.so", USE_FOO, links=(python,))
    report = check()
    assert found(report) == []
    assert report.choices[0].counts.python_symbols == 1


def test_symbols_of_python_are_looked_up_in_python(toolchain: Toolchain, site: Path, check: Check) -> None:
    body = "int PyLong_AsLong(void); int use(void) { return PyLong_AsLong(); }"
    toolchain.module(site / f"mod.{PYTHON_TAG}.so", body, options=("-Wl,-undefined,dynamic_lookup",))
    report = check()
    assert found(report) == []
    assert report.choices[0].counts.python_symbols == 1


def test_a_module_for_another_python_is_never_imported(toolchain: Toolchain, site: Path, check: Check) -> None:
    lib = toolchain.build(site.parent / "libfoo.dylib", FOO)
    toolchain.module(site / "mod.cpython-312-darwin.so", USE_FOO, links=(lib,))
    report = check()
    assert found(report) == []
    assert any("another Python" in one for one in report.assumptions)


def test_links_in_a_circle_between_libraries(toolchain: Toolchain, site: Path, check: Check) -> None:
    first = toolchain.build(site / "libone.dylib", "int one(void) { return 1; }")
    second = toolchain.build(
        site / "libtwo.dylib",
        "int one(void); int two(void) { return one(); }",
        links=(first,),
        rpaths=("@loader_path",),
    )
    toolchain.build(first, "int two(void); int one(void) { return two(); }", links=(second,), rpaths=("@loader_path",))
    assert found(check()) == []


@pytest.mark.parametrize("form", [1, 2, 3])
@pytest.mark.parametrize("packed", [False, True])
def test_chained_fixups(toolchain: Toolchain, site: Path, check: Check, form: int, packed: bool) -> None:
    module, lib = module_with_library(toolchain, site)
    chain(module, form=form, packed=packed)
    chain(lib, form=form, packed=packed)
    assert found(check()) == []
    toolchain.build(lib, "int other(void) { return 1; }")
    (finding,) = found(check())
    assert (finding.kind, finding.symbols) == ("missing-symbol", ("_foo",))


def test_a_sparse_file_of_4_gb(toolchain: Toolchain, site: Path, check: Check) -> None:
    _, lib = module_with_library(toolchain, site)
    os.truncate(lib, 4 << 30)
    with (site / "pkg" / "data.bin").open("wb") as file:
        file.truncate(4 << 30)
    findings = found(check())
    assert any(one.kind == "damaged" and one.subject == "pkg/libfoo.dylib" for one in findings)


def test_two_copies_of_openmp(toolchain: Toolchain, site: Path, check: Check) -> None:
    for name in ("one", "two"):
        omp = toolchain.build(site / name / "libomp.dylib", "int __kmpc_fork_call(void) { return 1; }")
        use = "int __kmpc_fork_call(void); int use(void) { return __kmpc_fork_call(); }"
        toolchain.module(site / name / f"mod.{PYTHON_TAG}.so", use, links=(omp,), rpaths=("@loader_path",))
    (finding,) = found(check())
    assert finding.id == "duplicate-runtime:openmp"
    assert finding.details == ("one/libomp.dylib: import one.*", "two/libomp.dylib: import two.*")
