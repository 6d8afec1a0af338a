"""Whether a bundle's files are those that it was sealed with. Runs on any machine's Python (3.8+).

SHA256SUMS names every file. A file that it does not name counts as much as one that was altered: conda, for instance,
prefers a repodata.json.zst to the repodata.json beside it. A link is in no bundle, so that nothing leads out of it.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import regular

SUMS = "SHA256SUMS"
AT_ONCE = 4
SHOWN = 5
_LINE = re.compile(r"([0-9a-f]{64})  ((?:[^/\\\x00-\x1f]+/)*[^/\\\x00-\x1f]+)")
_BLOCK = 1 << 20


def problems(folder: Path) -> list[str]:
    """What is wrong with a bundle, a line each; [] where nothing is."""
    wanted: dict[str, str] = {}
    try:
        lines = regular.text(folder / SUMS).splitlines()
    except (OSError, ValueError) as error:
        return [f"{SUMS} cannot be read: {error}"]
    for line in lines:
        match = _LINE.fullmatch(line)
        if not match or ".." in match[2].split("/"):
            return [f"{SUMS} has a line of another form: {line[:100]!r}"]
        wanted[match[2]] = match[1]
    found, odd = _files(folder)
    said = [f"{name}: a link, or no file at all" for name in odd]
    said += [f"{name}: {SUMS} does not name it" for name in sorted(found - set(wanted))]
    said += [f"{name}: it is missing" for name in sorted(set(wanted) - found - set(odd))]
    there = sorted(found & set(wanted))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        digests = dict(zip(there, pool.map(lambda name: _sha256(folder / name), there)))  # noqa: B905 (Python 3.8)
    return said + [f"{name}: it was altered" for name in there if digests[name] != wanted[name]]


def summary(said: list[str]) -> str:
    """The first problems in a line."""
    more = f", and {len(said) - SHOWN} more" if len(said) > SHOWN else ""
    return "; ".join(said[:SHOWN]) + more


def _files(folder: Path) -> tuple[set[str], list[str]]:
    """The bundle's files, and what is neither a file nor a folder."""
    files, odd = set(), []
    for place, folders, names in os.walk(str(folder)):
        for name in [*folders, *names]:
            path = Path(place) / name
            relative = path.relative_to(folder).as_posix()
            mode = path.lstat().st_mode
            if stat.S_ISDIR(mode):
                continue
            if not stat.S_ISREG(mode):
                odd.append(relative)
            elif not _is_beside(relative):
                files.add(relative)
    return files, sorted(odd)


def _is_beside(relative: str) -> bool:
    """What is in a bundle's folder and not of the bundle (verify/bundle/seal.py), or left there by macOS."""
    name = relative.rpartition("/")[2]
    return relative == SUMS or name.endswith(".part") or name in ("FETCH_HEAD", ".DS_Store") or name.startswith("._")


def _sha256(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(_BLOCK), b""):
            found.update(block)
    return found.hexdigest()
