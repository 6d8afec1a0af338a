"""Time and memory of the readers that the link check could use, on the Mach-O files of laid-down wheels.

    python -m benchmarks.macho_readers FOLDER

FOLDER holds macOS packages, for example from `uv pip install --python-platform aarch64-apple-darwin --target FOLDER`
with MACOSX_DEPLOYMENT_TARGET=14.0 and a profile's darwin-arm64.lock. Each reader runs in a process of its own.
"""

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import lief
from macholib.MachO import MachO

from verify.linkcheck import linkedit, macho

MACHO_MAGICS = (b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")


def with_lief(path: Path) -> None:
    """Everything, the symbols of exports trie and fixups included."""
    lief.MachO.parse(path)


def with_quick_lief(path: Path) -> None:
    """As little as lief can be told to read."""
    lief.MachO.parse(path, lief.MachO.ParserConfig.quick)


def with_macholib(path: Path) -> None:
    """Load commands, as macholib reads them by itself: with every section's content."""
    MachO(str(path))


def as_linkcheck(path: Path) -> None:
    """Load commands by macholib from their bytes alone, and all bound symbols."""
    linkedit.imports(macho.read(path, path.name))


READERS: dict[str, Callable[[Path], None]] = {
    "lief": with_lief,
    "lief, quick": with_quick_lief,
    "macholib": with_macholib,
    "linkcheck (macholib on the commands, own tables)": as_linkcheck,
}


def measure(name: str, files: list[Path]) -> tuple[float, float]:
    """Seconds and peak memory in MB (10^6 bytes) of reading all files."""
    started = time.perf_counter()
    for path in files:
        READERS[name](path)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return time.perf_counter() - started, peak * (1 if sys.platform == "darwin" else 1024) / 1e6


def main() -> None:
    """Measure every reader."""
    files = []
    for path in sorted(Path(sys.argv[1]).rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                if file.read(4) in MACHO_MAGICS:
                    files.append(path)
    print(f"{len(files)} files, {sum(path.stat().st_size for path in files) / 1e6:.0f} MB")
    for name in READERS:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            seconds, peak = pool.apply(measure, (name, files))
        print(f"{name}: {seconds:.1f} s, {peak:.0f} MB")


if __name__ == "__main__":
    main()
