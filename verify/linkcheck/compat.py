"""`python -m verify compat`: which versions of packages load together on a Mac? Answered from their wheels.

With --package it checks the given versions, every one of a package with every one of the others, and prints a table.
Without, it checks the matrices of matrices.yml and writes docs/compatibility.md; with --matrix only those, and the
other sections of the document stay as they are.
"""

import argparse
import itertools
import json
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from packaging.utils import canonicalize_name

from .. import ROOT
from ..errors import UserError
from ..profile import model as profiles
from ..profile.model import Profile
from ..profile.names import DEFAULT
from . import document, limits, staging
from .command import PLATFORM, check_folder, say, target_of
from .document import Row

MATRICES = Path(__file__).with_name("matrices.yml")
DOCUMENT = ROOT / "docs" / "compatibility.md"


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit code: 0 done, 1 a choice given by --package does not load."""
    parser = argparse.ArgumentParser(
        prog="python -m verify compat",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--package", action="append", type=_package, metavar="NAME=VERSION,…")
    parser.add_argument("--matrix", action="append", metavar="TITLE", help="a matrix of matrices.yml, by its title")
    parser.add_argument(
        "--profile",
        default=DEFAULT,
        help="takes Python and macOS's floor from it, where a matrix names no other one (default: %(default)s)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as well")
    options = parser.parse_args(arguments)
    loaded = profiles.load(options.profile)
    if options.package:
        packages: dict[str, list[str]] = {}
        for name, versions in options.package:
            packages.setdefault(name, []).extend(versions)
        rows = list(check(packages, loaded))
        print(document.table(rows))
        loads = all(row.loads for row in rows)
    else:
        matrices = yaml.safe_load(MATRICES.read_text(encoding="utf-8"))["matrices"]
        rows = _renew(matrices, options.matrix, loaded)
        say(f"{DOCUMENT.relative_to(ROOT)} is written")
        loads = True
    if options.json:
        options.json.write_text(json.dumps([document.as_data(row) for row in rows], indent=1) + "\n", encoding="utf-8")
    return 0 if loads else 1


def _renew(matrices: list[dict[str, Any]], wanted: list[str] | None, default: Profile) -> list[Row]:
    """Check matrices and write the document, each section as soon as it is known; returns their rows.

    Args:
        matrices: all of matrices.yml.
        wanted: titles of those that are checked; None for all.
        default: the profile of those that name none.

    Raises:
        UserError: there is no matrix of that title.
    """
    titles = [matrix["title"] for matrix in matrices]
    if unknown := [title for title in wanted or () if title not in titles]:
        raise UserError(f"{MATRICES.name} has no matrix {unknown[0]!r}. It has: {', '.join(titles)}.")
    sections = document.sections(DOCUMENT.read_text(encoding="utf-8")) if wanted is not None else {}
    today = datetime.now(UTC).date().isoformat()
    rows: list[Row] = []
    for matrix in matrices:
        if wanted is None or matrix["title"] in wanted:
            loaded = profiles.load(matrix["profile"]) if "profile" in matrix else default
            found = list(check(matrix["packages"], loaded))
            sections[matrix["title"]] = document.section(matrix, found, loaded, today)
            rows += found
        known = [sections[title] for title in titles if title in sections]
        DOCUMENT.write_text(document.render(known), encoding="utf-8")
    return rows


def check(packages: dict[str, list[str]], loaded: Profile) -> Iterator[Row]:
    """Check every choice of versions, the first package's in the outer loop.

    Each version of the first package has its own uv cache, which is removed with it: a matrix of TensorFlows would
    otherwise leave 25 GB behind.
    """
    first, *others = packages
    for version in packages[first]:
        with tempfile.TemporaryDirectory(prefix="metal-lab-compat-") as folder:
            for choice in itertools.product(*(packages[name] for name in others)):
                versions = {first: version, **dict(zip(others, choice, strict=True))}
                yield _row(versions, loaded, Path(folder))


def _row(versions: dict[str, str], loaded: Profile, folder: Path) -> Row:
    platform = loaded.platform(PLATFORM)
    pins = [f"{name}=={version}" for name, version in versions.items()]
    say(f"checking {' '.join(pins)}")
    with tempfile.TemporaryDirectory(prefix="tree-", dir=folder) as tree:
        resolved = Path(tree) / "resolved"
        cache = folder / "uv"
        try:
            staging.lay_down(pins, loaded.python, platform, resolved, until=loaded.locked_on, cache=cache)
            declared = True
        except UserError:
            # uv removes nothing that it did not install, so the second attempt gets a folder of its own.
            resolved = Path(tree) / "alone"
            staging.lay_down_alone(pins, loaded.python, platform, resolved, cache=cache)
            declared = False
        report = limits.run(check_folder, lambda _: None, resolved, target_of(loaded), " ".join(pins), False)
    names = set(versions)
    findings = [one for one in report.findings if document.concerns(one, names)]
    notes = [one for one in report.assumptions if "PJRT" in one]
    notes += [f"{one.id}: {one.message}" for one in report.findings if one.kind == "duplicate-runtime"]
    return Row(versions, declared, tuple(findings), tuple(notes))


def _package(text: str) -> tuple[str, list[str]]:
    name, equals, versions = text.partition("=")
    if not (name and equals and versions) or versions.startswith("="):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VERSION,VERSION,…")
    return canonicalize_name(name), versions.split(",")
