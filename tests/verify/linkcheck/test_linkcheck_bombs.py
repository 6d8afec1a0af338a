"""Files made to take all memory or all time: each is refused within limits, with its name, and the rest is checked.

What holds is the limits themselves, of which the tests see that they are set and what follows when they are reached;
how fast a machine is makes no difference.
"""

import io
import multiprocessing
import os
import resource
import signal
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from verify.errors import UserError
from verify.linkcheck import command, dyld, limits, linkedit, macho, report, sarif, staging
from verify.linkcheck.findings import plain_line
from verify.linkcheck.report import Report

from .conftest import TARGET
from .machos import (
    LC_DYLD_INFO_ONLY,
    LC_ID_DYLIB,
    built_for,
    function,
    install,
    linked,
    metallib,
    rpath,
    thin,
    write,
)
from .machos import (
    command as load_command,
)

Bounded = Callable[[], Report]


@pytest.fixture
def bounded(site: Path) -> Bounded:
    """Checks the folder `site` as the commands do, in a process with limits."""
    return lambda: limits.run(command.check_folder, lambda _: None, site, TARGET, "test")


def found(report: Report) -> dict[str, str]:
    return {one.id: one.message for one in report.findings if one.kind != "no-owner"}


def with_trie(path: Path, trie: bytes, imports: bytes = b"") -> None:
    """A dylib with an exports trie, and bind opcodes."""
    load = [linked(f"@rpath/{path.name}", LC_ID_DYLIB), built_for()]
    end = 32 + sum(map(len, load)) + 48
    places = (0, 0, end, len(imports), 0, 0, 0, 0, end + len(imports), len(trie))
    load.append(load_command(LC_DYLD_INFO_ONLY, struct.pack("<10I", *places)))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(thin(*load, content=imports + trie))


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that know what is defined and replaced here."""
    monkeypatch.setattr(limits, "_CONTEXT", multiprocessing.get_context("fork"))


# Functions that `limits.run` calls in its process.


def spin(progress: Callable[[str], None], path: str) -> str:
    """Takes as long as it may."""
    signal.setitimer(signal.ITIMER_PROF, 0)
    try:
        with limits.reading(path):
            signal.setitimer(signal.ITIMER_PROF, 0.05, 0.05)  # as if SECONDS were over
            end = time.process_time() + 5
            while time.process_time() < end:
                pass
    except limits.ExceededError as error:
        progress("interrupted")
        return str(error)
    return ""


def devour(_progress: Callable[[str], None], path: str) -> str:
    held: list[bytearray] = []
    try:
        with limits.reading(path):
            while len(held) < 40:  # which are not touched, so that they take no memory
                held.append(bytearray(64 << 20))
    except limits.ExceededError as error:
        return f"{error}, {len(held)}"
    return "no end, 40"


def descend(_progress: Callable[[str], None], path: str) -> str:
    def deeper() -> None:
        deeper()

    try:
        with limits.reading(path):
            deeper()
    except limits.ExceededError as error:
        return str(error)
    return ""


def die(_progress: Callable[[str], None], *paths: str) -> list[str]:
    """Dies at the first two."""
    said = []
    for number, path in enumerate(paths):
        try:
            with limits.reading(path):
                if number < 2:
                    os.kill(os.getpid(), signal.SIGKILL)
                said.append(f"{path}: read")
        except limits.ExceededError as error:
            said.append(f"{path}: {error}")
    return said


def wait(progress: Callable[[str], None]) -> None:
    progress("about to")
    time.sleep(3600)


def die_outside(_progress: Callable[[str], None]) -> None:
    os.kill(os.getpid(), signal.SIGXCPU)


def settings(_progress: Callable[[str], None]) -> tuple[tuple[float, float], float, tuple[object, ...]]:
    with limits.reading("a"):
        used = time.process_time()
        within = resource.getrlimit(resource.RLIMIT_CPU)[0] - used, signal.getitimer(signal.ITIMER_PROF)[0]
        with limits.reading("b"):
            pass
        still = signal.getitimer(signal.ITIMER_PROF)[0]
    after = resource.getrlimit(resource.RLIMIT_CPU), signal.getitimer(signal.ITIMER_PROF)[0]
    return within, still, (*after, resource.getrlimit(resource.RLIMIT_DATA))


def refuse(_progress: Callable[[str], None]) -> None:
    raise UserError("no such thing")


def fail(_progress: Callable[[str], None]) -> None:
    raise KeyError("a fault of ours")


def keep(_progress: Callable[[str], None]) -> list[bytearray]:
    held: list[bytearray] = []
    while len(held) < 40:
        held.append(bytearray(64 << 20))
    return held


def silently(_: str) -> None:
    pass


@pytest.mark.usefixtures("forked")
def test_limits_are_the_systems() -> None:
    (seconds, timer), still, after = limits.run(settings, silently)
    assert limits.SECONDS < seconds <= 2 * limits.SECONDS + 1
    assert 0 < timer <= limits.SECONDS + 0.1
    assert 0 < still <= limits.SECONDS + 0.1
    assert after == ((limits.ALL_SECONDS, limits.ALL_SECONDS), 0, (limits.MEMORY, limits.MEMORY))


@pytest.mark.usefixtures("forked")
def test_what_takes_too_long_is_interrupted() -> None:
    said: list[str] = []
    assert limits.run(spin, said.append, "x") == "it takes more than 10 seconds of the processor"
    assert said == ["interrupted"]


@pytest.mark.usefixtures("forked")
def test_memory_has_an_end() -> None:
    error, number = limits.run(devour, silently, "x").split(", ")
    assert error == "it takes more than 1024 MiB of memory"
    assert int(number) <= 16


@pytest.mark.usefixtures("forked")
def test_what_is_nested_too_deeply_is_told() -> None:
    assert limits.run(descend, silently, "x") == "it is nested too deeply"


@pytest.mark.usefixtures("forked")
def test_a_file_at_which_the_process_dies_is_left_out() -> None:
    assert limits.run(die, silently, "a", "b", "c") == [
        "a: the process that reads it ends with -9",
        "b: the process that reads it ends with -9",
        "c: read",
    ]


@pytest.mark.usefixtures("forked")
def test_it_is_given_up_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=rf"^The check was given up: its process ended with -{signal.SIGXCPU:d}\.$"):
        limits.run(die_outside, silently)
    monkeypatch.setattr(limits, "_MOST_DEADLY", 1)
    with pytest.raises(UserError, match=r"^The check was given up at b: its process ended with -9\.$"):
        limits.run(die, silently, "a", "b", "c")


@pytest.mark.usefixtures("forked")
def test_what_goes_wrong_there_goes_wrong_here() -> None:
    with pytest.raises(UserError, match=r"^no such thing$"):
        limits.run(refuse, silently)
    with pytest.raises(RuntimeError, match="KeyError: 'a fault of ours'"):
        limits.run(fail, silently)
    with pytest.raises(UserError, match=r"^The check takes more than 1024 MiB of memory\.$"):
        limits.run(keep, silently)


@pytest.mark.usefixtures("forked")
def test_who_is_interrupted_does_not_wait() -> None:
    def interrupted(_text: str) -> None:
        raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        limits.run(wait, interrupted)
    assert time.monotonic() - started < 300


def test_outside_of_the_process_there_are_none() -> None:
    before = resource.getrlimit(resource.RLIMIT_CPU)
    with limits.reading("x"):
        assert signal.getitimer(signal.ITIMER_PROF)[0] == 0
    assert resource.getrlimit(resource.RLIMIT_CPU) == before


@pytest.mark.usefixtures("forked")
def test_the_commands_read_in_a_process_with_limits(
    monkeypatch: pytest.MonkeyPatch, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that breaks the process, as far as can be told from here, is damaged."""
    write(site / "bad.dylib")
    write(site / "good.dylib")
    install(site, "one", files=("bad.dylib", "good.dylib"))
    real = macho.read

    def read(file: Path, path: str) -> macho.Image:
        if path == "bad.dylib":
            os.kill(os.getpid(), signal.SIGKILL)
        return real(file, path)

    monkeypatch.setattr(macho, "read", read)
    assert command.main(["--environment", str(site), "--python", "3.11", "--macos", "15"]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "damaged:bad.dylib" in shown
    assert "the process that reads it ends with -9" in shown
    assert "damaged:good.dylib" not in shown


def test_an_endless_exports_trie(site: Path, bounded: Bounded) -> None:
    """Nodes with one nameless edge each, to the next one: dyld ends after 128."""
    nodes = b"".join(bytes([0, 1, 0]) + _uleb3((number + 1) * 6) for number in range(200_000))
    with_trie(site / "liblong.dylib", nodes)
    write(site / "use.so", links=("@loader_path/liblong.dylib",), imports=((1, "_a"),), exports=("_PyInit_use",))
    messages = found(bounded())
    assert "the exports trie is too deep" in messages["damaged:use.so"]
    deep = b"".join(bytes([0, 1]) + b"a\0" + _uleb3((number + 1) * 7) for number in range(126)) + b"\2\0\1\0"
    with_trie(site / "liblong.dylib", deep)
    exports = linkedit.Exports(macho.read(site / "liblong.dylib", "x"))
    assert exports.find("a" * 126) is not None
    with_trie(
        site / "liblong.dylib", deep.replace(b"\2\0\1\0", b"\0\1a\0" + _uleb3(127 * 7) + b"\0\1a\0" + _uleb3(128 * 7))
    )
    exports = linkedit.Exports(macho.read(site / "liblong.dylib", "x"))
    with pytest.raises(macho.MalformedError, match="outside itself"):
        exports.find("a" * 200)


def _uleb3(number: int) -> bytes:
    """A ULEB128 number of three bytes."""
    return bytes([number & 0x7F | 0x80, number >> 7 & 0x7F | 0x80, number >> 14])


def test_a_trie_that_takes_too_long_is_its_own_images_fault(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_trie(site / "liblong.dylib", b"\0\1a\0\5\0\0")
    exports = linkedit.Exports(macho.read(site / "liblong.dylib", "liblong.dylib"))

    def slow(*_: object, **__: object) -> None:
        raise limits.ExceededError("too long")

    monkeypatch.setattr(exports, "_descend", slow)
    with pytest.raises(limits.ExceededError, match=r"^looking names up in liblong\.dylib: too long$"):
        exports.find("_a")
    monkeypatch.undo()
    with pytest.raises(limits.ExceededError, match=r"^looking names up in liblong\.dylib: too long$"):
        exports.find("_b")


@pytest.mark.parametrize(
    ("load", "said"),
    [
        ([rpath(f"@loader_path/{number}") for number in range(macho.MAX_RPATHS + 1)], "257 search paths"),
        ([linked(f"@rpath/{number}") for number in range(macho.MAX_DEPENDENCIES + 1)], "1025 libraries"),
    ],
    ids=["rpaths", "dependencies"],
)
def test_huge_lists(site: Path, bounded: Bounded, load: list[bytes], said: str) -> None:
    write(site / "lib.dylib", built_for(), *load[:-1])
    assert "damaged:lib.dylib" not in found(bounded())
    write(site / "lib.dylib", built_for(), *load)
    assert said in found(bounded())["damaged:lib.dylib"]


def test_rpaths_that_lead_in_a_circle(site: Path, bounded: Bounded) -> None:
    """And into each other: every library of a chain is looked for below all search paths of those before it."""
    paths = tuple(f"@loader_path/{'../x/' * number}" for number in range(macho.MAX_RPATHS - 1))
    for number in range(20):
        name = f"lib{number}.dylib" if number else "first.so"
        links = (f"@rpath/lib{number + 1}.dylib",)
        exports = () if number else ("_PyInit_first",)
        write(site / "x" / name, rpaths=(*paths, "@rpath/."), links=links, exports=exports)
    (finding,) = [one for one in bounded().findings if one.kind != "no-owner"]
    assert finding.id == "missing-dependency:x/lib19.dylib>@rpath/lib20.dylib"
    assert finding.details == (f"more than the {dyld.MOST_PLACES} places that are looked at",)


@pytest.mark.parametrize(("number", "links"), [(300, 1), (60, 20)])
def test_hundreds_of_modules_in_a_ring(site: Path, bounded: Bounded, number: int, links: int) -> None:
    for one in range(number):
        others = tuple(f"@loader_path/m{(one + 1 + step) % number}.so" for step in range(links))
        write(
            site / f"m{one}.so",
            name=f"/x/m{one}.so",
            links=others,
            imports=((1, "_a"),),
            exports=(f"_PyInit_m{one}", "_a"),
        )
    checked = bounded()
    assert (found(checked), checked.choices[0].counts.processes) == ({}, number)


BLANKS = " " * (2 << 20)


def test_two_megabytes_of_blanks_in_code(site: Path, bounded: Bounded) -> None:
    """Of a package whose libraries are not found, so that it is asked what it imports."""
    texts = (BLANKS, "\n" * (2 << 20), f"import{BLANKS}", f"{BLANKS}import two", f"from{BLANKS}.")
    for number, text in enumerate(texts):
        (site / f"blank{number}.py").write_text(text)
    write(site / "lib.so", links=("@rpath/gone.dylib",), exports=("_PyInit_lib",))
    install(site, "one", files=(*(f"blank{number}.py" for number in range(5)), "lib.so"))
    assert list(found(bounded())) == ["missing-dependency:lib.so>@rpath/gone.dylib"]


def metadata(site: Path, name: str = "one") -> Path:
    install(site, name)
    return site / f"{name}-1.0.dist-info"


def _wheel(info: Path) -> None:
    parts = [".".join(f"{letter}{number}" for number in range(300)) for letter in "abc"]
    (info / "WHEEL").write_text(f"Wheel-Version: 1.0\nTag: {'-'.join(parts)}\n")


def _markers(info: Path) -> None:
    nested = "(" * 8_000 + "python_version > '3'" + ")" * 8_000
    with (info / "METADATA").open("a") as file:
        file.write(f"Requires-Dist: two; {nested}\n")


def _many_markers(info: Path) -> None:
    long = " or ".join(["python_version > '3'"] * 50_000)
    with (info / "METADATA").open("a") as file:
        file.write(f"Requires-Dist: two; {long}\n")


def _blanks(info: Path) -> None:
    with (info / "METADATA").open("a") as file:
        file.write(f"Requires-Dist: two{BLANKS}!\n")


def _entry_points(info: Path) -> None:
    """configparser would look at every blank for each of them."""
    (info / "entry_points.txt").write_text(f"[a]\nb{BLANKS}c\n")


def _metadata(info: Path) -> None:
    with (info / "METADATA").open("ab") as file:
        file.truncate(100 << 20)


def _record(info: Path) -> None:
    (info / "RECORD").write_text("a,,\n" * 400_000)


def _large_record(info: Path) -> None:
    with (info / "RECORD").open("ab") as file:
        file.truncate(100 << 20)


def _long_row(info: Path) -> None:
    (info / "RECORD").write_text(f'"{"a" * (2 << 20)}",,\n')


def _size(info: Path) -> None:
    (info / "RECORD").write_text(f"a,,{'9' * 5000}\n")


@pytest.mark.parametrize(
    ("bomb", "said"),
    [
        (_wheel, "stands for 27000000 tags"),
        (_markers, "nested too deeply"),
        (_many_markers, "requirement of 1200001"),
        (_blanks, "requirement of 2097"),
        (_entry_points, "a line of 2097"),
        (_metadata, "METADATA has 104857600 bytes"),
        (_record, "more than 300000 lines"),
        (_large_record, "RECORD has 104857"),
        (_long_row, "field larger than field limit"),
        (_size, "4300 digits"),
    ],
)
def test_metadata(site: Path, bounded: Bounded, bomb: Callable[[Path], None], said: str) -> None:
    bomb(metadata(site))
    metadata(site, "good")
    checked = bounded()
    (finding,) = [one for one in checked.findings if one.kind in ("metadata", "damaged")]
    assert finding.subject == "one-1.0.dist-info"
    assert said in finding.message
    assert len(finding.message) < 10_000
    assert checked.choices[0].counts.packages == 1


@pytest.mark.parametrize("digits", [4000, 5000])
def test_versions_of_thousands_of_digits(site: Path, bounded: Bounded, digits: int) -> None:
    install(site, "one", requires=(f"two>=1.{'9' * digits}",))
    install(site, "two", version=f"1.{'8' * 100}")
    (site / f"two-1.{'8' * 100}.dist-info" / "METADATA").write_text(f"Name: two\nVersion: 1.{'8' * digits}\n")
    kinds = {one.kind for one in bounded().findings}
    assert "requirement" in kinds or "metadata" in kinds


def test_numpy_of_thousands_of_digits(site: Path, bounded: Bounded) -> None:
    info = metadata(site, "numpy")
    (info / "METADATA").write_text(f"Name: numpy\nVersion: {'9' * 5000}\n")
    assert [one.kind for one in bounded().findings] == ["record"]


def test_names_that_overlap(site: Path, bounded: Bounded) -> None:
    """On a Mac: written in other letters, or with the accent apart."""
    for name in ("One.py", "one.py", "caf\u00e9.py", "cafe\u0301.py", "two.py", "cafe.py"):
        (site / name).write_text("")
    (site / "TWO.py").symlink_to("two.py")
    same = {one.details for one in bounded().findings if one.kind == "same-name"}
    assert same == {("One.py", "one.py"), ("cafe\u0301.py", "caf\u00e9.py"), ("two.py", "TWO.py")}


def wheel(folder: Path, files: dict[str, bytes], name: str = "bomb") -> Path:
    info = f"{name}-1.0.dist-info"
    tag = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files = {**files, f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode()}
    files |= {f"{info}/WHEEL": tag.encode(), f"{info}/RECORD": "".join(f"{one},,\n" for one in files).encode()}
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for one, content in files.items():
            archive.writestr(one, content)
    return path


@pytest.fixture
def lay_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Has uv lay a wheel down."""
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("UV_OFFLINE", "1")

    def lay(path: Path) -> None:
        (tmp_path / "requirements.txt").write_text(f"{path.as_uri()}\n")
        staging.lay_down_file(tmp_path / "requirements.txt", TARGET, tmp_path / "laid")

    return lay


def test_a_wheel_that_unpacks_to_more_than_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lay_down: Callable[[Path], None]
) -> None:
    monkeypatch.setattr(macho, "MAX_FILE", 1 << 20)
    lay_down(wheel(tmp_path, {"a.bin": bytes(1 << 20)}, "good"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE), resource.getrlimit(resource.RLIMIT_CPU)
    with pytest.raises(UserError, match="a wheel has a file of more than 1048576 bytes"):
        lay_down(wheel(tmp_path, {"a.bin": bytes((1 << 20) + 1)}))
    assert (resource.getrlimit(resource.RLIMIT_FSIZE), resource.getrlimit(resource.RLIMIT_CPU)) == before


def test_a_wheel_whose_entries_are_one_place(tmp_path: Path, lay_down: Callable[[Path], None]) -> None:
    """A central directory in which a hundred names lead to one entry."""
    path = wheel(tmp_path, {"k0000": bytes(1 << 20)})
    data = path.read_bytes()
    end = data.rindex(b"PK\5\6")
    number, size, start = struct.unpack_from("<HII", data, end + 10)
    directory = data[start:end]
    first = directory[: 46 + sum(struct.unpack_from("<3H", directory, 28))]
    directory += b"".join(first.replace(b"k0000", b"k%04d" % more) for more in range(1, 101))
    tail = struct.pack("<HHIIH", number + 100, number + 100, len(directory), start, 0)
    path.write_bytes(data[:start] + directory + data[end : end + 8] + tail)
    assert size < len(directory)
    with pytest.raises(UserError, match="uv could not lay the packages down"):
        lay_down(path)


def test_links_in_circles(site: Path, bounded: Bounded) -> None:
    """And links that double with each step."""
    (site / "a").symlink_to("b")
    (site / "b").symlink_to("a")
    (site / "self").symlink_to(".")
    (site / "d0").symlink_to("/".join(["self"] * 400))
    for number in range(1, 40):
        (site / f"d{number}").symlink_to(f"d{number - 1}/d{number - 1}")
    write(site / "lib.so", links=("@loader_path/self/self/d39/a",), exports=("_PyInit_lib",))
    kinds = {one.kind for one in bounded().findings}
    assert kinds == {"dead-link", "missing-dependency", "no-owner"}


def test_metallibs_within_each_other(site: Path, bounded: Bounded) -> None:
    """What looks like a library at every place of one."""
    within = b"MTLB\x01\x80" * (1 << 20)
    whole = metallib(size=len(metallib()) + len(within)) + within
    write(site / "lib.dylib")
    (site / "lib.dylib").write_bytes((site / "lib.dylib").read_bytes() + whole)
    assert "damaged:lib.dylib" not in found(bounded())
    (site / "gpu.metallib").write_bytes(metallib(*[function()] * 3, count=0xFFFFFFFF))
    assert "list of 4294967295 functions ends after 3" in found(bounded())["damaged:gpu.metallib"]


def test_a_huge_table(site: Path, bounded: Bounded) -> None:
    """In a file with holes, which takes no space."""
    size = macho.MAX_TABLE + 1
    load = [linked("@rpath/lib.dylib", LC_ID_DYLIB), built_for()]
    load.append(load_command(LC_DYLD_INFO_ONLY, struct.pack("<10I", 0, 0, 4096, size, 0, 0, 0, 0, 0, 0)))
    (site / "lib.dylib").write_bytes(thin(*load))
    with (site / "lib.dylib").open("ab") as file:
        file.truncate(size + 8192)
    assert "larger than the 268435456" in found(bounded())["damaged:lib.dylib"]


def test_imports_without_end(site: Path, bounded: Bounded) -> None:
    opcodes = b"\x11" + b"".join(b"\x40" + f"{number:x}".encode() + b"\0\x90" for number in range(500_001))
    with_trie(site / "lib.dylib", b"", opcodes)
    assert "more than the 500000 symbols" in found(bounded())["damaged:lib.dylib"]


NASTY = "\x1b]0;title\x07\x1b[2J\u202egnp.\u2066\n[red]loads[/]\r\x9b"


def test_nothing_reaches_the_terminal_as_it_is(site: Path, bounded: Bounded) -> None:
    """Neither names of files nor what stands in them, in the table, JSON or SARIF."""
    name = NASTY.replace("/", "|")
    write(site / f"{name}.dylib", links=(f"@rpath/{NASTY}",), imports=((1, f"_{NASTY}"),))
    (site / f"{name}.py").write_text("")
    info = metadata(site)
    (info / "METADATA").write_text(f"Name: one\nVersion: 1.0{NASTY!r}\nRequires-Dist: \x1b[31m{NASTY!r}\n")
    folder = Path(os.fsdecode(os.fsencode(site) + b"/\xff\xfe"))
    folder.mkdir()
    (folder / "bad.metallib").write_bytes(b"MTLB")
    checked = bounded()
    assert {"missing-dependency", "damaged", "no-owner", "metadata"} <= {one.kind for one in checked.findings}
    shown = io.StringIO()
    report.show(checked, Console(file=shown, highlight=False, force_terminal=False, width=200))
    text = shown.getvalue() + str(sarif.document(checked, None)) + str(checked.document())
    assert [one for one in text if not (one.isprintable() or one == "\n")] == []
    assert "\n[red]loads[/]" not in text
    text.encode()


@pytest.mark.parametrize(("text", "expected"), [("a\nb", "a b"), ("x" * 9000, f"{'x' * 8192}… (9000 characters)")])
def test_a_line_is_one_line_and_has_an_end(text: str, expected: str) -> None:
    assert plain_line(text) == expected
