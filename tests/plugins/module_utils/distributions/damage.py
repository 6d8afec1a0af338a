"""Ways in which an installed package is damaged, each with the words in which it is named."""

import os
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.plugins.module_utils.distributions.environment import alter, digest


@dataclass(frozen=True)
class Place:
    """Where a package of the tests is installed.

    Attributes:
        site: site-packages.
        module: its package's name.
    """

    site: Path
    module: str

    @property
    def package(self) -> Path:
        return self.site / self.module

    @property
    def file(self) -> Path:
        return self.package / "__init__.py"

    @property
    def info(self) -> Path:
        return self.site / f"{self.module}-1.0.dist-info"

    @property
    def record(self) -> Path:
        return self.info / "RECORD"

    @property
    def metadata(self) -> Path:
        return self.info / "METADATA"

    @property
    def outside(self) -> Path:
        """A folder beside the environment, with something of the user's."""
        made = self.site.parents[3] / "outside" / self.module
        made.mkdir(parents=True, exist_ok=True)
        return made


@dataclass(frozen=True)
class Damage:
    """One of them.

    Attributes:
        do: damages the package at a place.
        said: what is said of it, with MODULE for the package's name.
        content: whether only reading the files shows it.
    """

    do: Callable[[Place], object]
    said: str
    content: bool = False


def _edit(old: str, new: str, file: str = "RECORD") -> Callable[[Place], object]:
    """Replace something in RECORD, or in another file of the dist-info folder; `old` is a regular expression."""

    def edit(place: Place) -> None:
        text = (place.info / file).read_text(encoding="utf-8")
        changed, count = re.subn(old.replace("MODULE", place.module), new.replace("MODULE", place.module), text)
        assert count == 1
        (place.info / file).write_text(changed, encoding="utf-8")

    return edit


def _outside(upwards: bool) -> Callable[[Place], object]:
    """Have RECORD list a file of the user's."""

    def list_it(place: Place) -> None:
        precious = place.outside / "precious"
        precious.write_text("x", encoding="utf-8")
        path = os.path.relpath(precious, place.site) if upwards else precious
        with place.record.open("a", encoding="utf-8") as file:
            file.write(f"{path},sha256={digest(b'x')},1\n")

    return list_it


def _move_out(path: Path, place: Place) -> None:
    """Leave a link to where it is now."""
    target = place.outside / path.name
    path.rename(target)
    path.symlink_to(target)


def _replace(path: Path, make: Callable[[Path], object]) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    make(path)


def _delete_and_empty(place: Place) -> None:
    shutil.rmtree(place.package)
    place.record.write_bytes(b"")


_RECORD = "MODULE-1.0.dist-info/RECORD "
_METADATA = "MODULE-1.0.dist-info/METADATA "
_FILE = "MODULE/__init__.py "
_OUT = "is behind a link that leads out of the environment"

_NO_FOLDER = "MODULE-1.0.dist-info is not a folder"
_INIT = r"(MODULE/__init__.py,\S+),11\n"
_WORDS = r"(MODULE/deep/words.py),(sha256)=(\S+),"

DAMAGES = {
    "record-missing": Damage(lambda at: at.record.unlink(), _RECORD + "is missing"),
    "record-empty": Damage(lambda at: at.record.write_bytes(b""), _RECORD + "is empty"),
    "record-random": Damage(lambda at: at.record.write_bytes(bytes(range(255, -1, -1)) * 4), _RECORD + "is not text"),
    "record-zeros": Damage(lambda at: at.record.write_bytes(bytes(512)), _RECORD + "is not text"),
    "record-quotes": Damage(lambda at: at.record.write_text('a,"b'), _RECORD + "is not CSV: "),
    "record-columns": Damage(_edit("MODULE-1.0.dist-info/RECORD,,", "one"), _RECORD + "is not CSV with path, hash and"),
    "record-folder": Damage(lambda at: _replace(at.record, Path.mkdir), _RECORD + "is not a regular file"),
    "record-out": Damage(lambda at: _move_out(at.record, at), _RECORD + _OUT),
    "record-itself": Damage(_edit("MODULE-1.0.dist-info/RECORD,,\n", ""), _RECORD + "does not list itself"),
    "record-cut": Damage(_edit("MODULE-1.0.dist-info/METADATA,", "x.pyc,"), _RECORD + "does not list METADATA"),
    "size-word": Damage(_edit(_INIT, r"\1,six\n"), _RECORD + "gives 'MODULE/__init__.py' a size that is no number"),
    "size-long": Damage(_edit(_INIT, rf"\1,{'9' * 5000}\n"), _RECORD + "gives 'MODULE/__init__.py' a size that is"),
    "size-none": Damage(_edit(_INIT, r"\1,\n"), _FILE + "has no size in RECORD"),
    "size-other": Damage(lambda at: at.file.write_text("NUMBER = 10\n"), _FILE + "has 12 bytes instead of 11"),
    "hash-none": Damage(_edit(_WORDS, r"\1,,"), "MODULE/deep/words.py has no hash in RECORD"),
    "metadata-missing": Damage(lambda at: at.metadata.unlink(), _METADATA + "is missing"),
    "metadata-folder": Damage(lambda at: _replace(at.metadata, Path.mkdir), _METADATA + "is not a regular file"),
    "metadata-empty": Damage(lambda at: at.metadata.write_bytes(b""), _METADATA + "does not name a package and its"),
    # As long as before.
    "metadata-name": Damage(_edit("Name: m", "Name: n", "METADATA"), _METADATA + "is of 'netadata-name 1.0'"),
    "metadata-version": Damage(_edit("1.0", "1.1", "METADATA"), _METADATA + "is of 'metadata-version 1.1'"),
    "info-file": Damage(lambda at: _replace(at.info, Path.touch), _NO_FOLDER),
    "info-nowhere": Damage(lambda at: _replace(at.info, lambda path: path.symlink_to("nowhere")), _NO_FOLDER),
    "info-out": Damage(lambda at: _move_out(at.info, at), _NO_FOLDER),
    "info-twice": Damage(
        lambda at: shutil.copytree(at.info, at.site / f"{at.module}-0.5.dist-info"),
        "MODULE-0.5.dist-info/RECORD does not list itself",
    ),
    "info-second": Damage(
        lambda at: (at.site / f"{at.module}-0.5.dist-info").mkdir(), "MODULE-0.5.dist-info/RECORD is missing"
    ),
    "file-missing": Damage(lambda at: at.file.unlink(), _FILE + "is missing"),
    "file-folder": Damage(lambda at: _replace(at.file, Path.mkdir), _FILE + "is not a regular file"),
    "file-out": Damage(lambda at: _move_out(at.file, at), _FILE + _OUT),
    "file-loop": Damage(lambda at: _replace(at.file, lambda path: path.symlink_to(path)), _FILE + "cannot be read: "),
    "package-missing": Damage(lambda at: shutil.rmtree(at.package), _FILE + "is missing"),
    "package-file": Damage(lambda at: _replace(at.package, Path.touch), _FILE + "is missing"),
    "package-nowhere": Damage(
        lambda at: _replace(at.package, lambda path: path.symlink_to("nowhere")), _FILE + "is missing"
    ),
    "package-out": Damage(lambda at: _move_out(at.package, at), _FILE + _OUT),
    "package-and-record": Damage(_delete_and_empty, _RECORD + "is empty"),
    "command-missing": Damage(
        lambda at: (at.site.parents[2] / "bin" / "command-missing").unlink(),
        "../../../bin/command-missing is missing",
    ),
    "path-absolute": Damage(_outside(upwards=False), "/precious lies outside of the environment"),
    "path-upwards": Damage(_outside(upwards=True), "/precious lies outside of the environment"),
    "content": Damage(lambda at: alter(at.file), _FILE + "has other content than its sha256 in RECORD", content=True),
    "hash-unknown": Damage(
        _edit(_WORDS, r"\1,sha257=\3,"),
        "MODULE/deep/words.py has a hash in RECORD that cannot be computed: 'sha257'",
        content=True,
    ),
    # Of any length.
    "hash-shake": Damage(
        _edit(_WORDS, r"\1,shake_128=\3,"),
        "MODULE/deep/words.py has a hash in RECORD that cannot be computed: 'shake_128'",
        content=True,
    ),
}


def damage(site: Path, names: Iterable[str]) -> None:
    """Damage the packages that are called as the damages are, each in its way."""
    for name in names:
        DAMAGES[name].do(Place(site, name.replace("-", "_")))


def said(name: str) -> str:
    """What is said of a damaged package."""
    return DAMAGES[name].said.replace("MODULE", name.replace("-", "_"))
