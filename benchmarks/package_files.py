"""What it takes to look at every file of an environment's packages, and to read them all and compare their hashes.

    .venv/bin/python -m benchmarks.package_files [--prefix FOLDER]

The files are read twice: from memory, and, on Linux, after the system has been asked to forget them.
"""

import argparse
import json
import os
from pathlib import Path
from time import perf_counter

from verify.probes.distributions import Inspector, installed


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prefix", type=Path, help="default: the one in the machine's record")
    given = parser.parse_args()
    record = Path.home() / ".local/share/metal-lab/ml-m1.json"
    prefix = given.prefix or Path(json.loads(record.read_text(encoding="utf-8"))["prefix"])
    (site,) = {path.resolve() for path in prefix.glob("lib/python3*/site-packages")}
    # Once before, so that what follows finds all in memory.
    inspect(prefix, site, content=True)
    print(f"sizes: {inspect(prefix, site, content=False)}")
    print(f"content, from memory: {inspect(prefix, site, content=True)}")
    if hasattr(os, "posix_fadvise"):
        os.sync()
        for path in (path for path in prefix.rglob("*") if path.is_file()):
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        print(f"content, from the disk: {inspect(prefix, site, content=True)}")


def inspect(prefix: Path, site: Path, content: bool) -> str:
    """Inspect all packages once, and say what it took."""
    started = perf_counter()
    inspector = Inspector(prefix, site, content)
    found = [inspector.inspect(one) for one in installed(site)]
    seconds = perf_counter() - started
    problems = sum(len(one.problems) for one in found)
    return f"{len(found)} packages, {sum(one.files for one in found)} files, {problems} problems: {seconds:.2f} s"


if __name__ == "__main__":
    main()
