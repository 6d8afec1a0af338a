"""Laying a Mac's wheels down in a folder, on any machine, by uv; nothing is imported or executed.

uv checks the hashes, takes wheels from its cache and links them into place, so that the folder costs next to no space.
"""

import json
import math
import os
import re
import resource
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlparse, urlsplit

from packaging.pylock import (
    PackageArchive,
    PackageWheel,
    Pylock,
    PylockSelectError,
    PylockValidationError,
    is_valid_pylock_path,
)
from packaging.specifiers import SpecifierSet
from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, canonicalize_name, is_normalized_name, parse_wheel_filename
from uv import find_uv_bin

from ..errors import UserError
from ..macos import show_version
from ..profile.model import Platform, Profile
from . import macho, sources
from .packages import MAX_TAGS, Target

if TYPE_CHECKING:
    from packaging.markers import Environment

_PLACES = ("filename", "url", "path")
"""Where a wheel of a uv.lock has its name."""
_LINE = re.compile(r"\S+ @ \S+( --hash=[a-z0-9_]+:[0-9a-fA-F]+)+")
"""A wheel in a requirements file: nothing of a lock may become another line or option of it."""
_HASH = re.compile(r"\s--hash=(\S+)")
_ODD = (OSError, ValueError, LookupError, TypeError, AttributeError, StopIteration)
"""What a uv.lock that is none, or of another form, may end in where it is looked into."""
_UNUSABLE = (
    *(OSError, ValueError, TypeError, AttributeError, RecursionError),
    *(PylockSelectError, PylockValidationError),
)
"""What reading a lock that is none, or is not for the target, may end in."""
_SECONDS = 600
"""Of the processor's time, for laying down one choice of packages; that of profile ml-m1 takes 30, with downloads."""


def lay_down_lock(profile: Profile, platform: Platform, folder: Path, macos: str) -> None:
    """Put the packages of a profile's lock into a folder, in the wheels that uv takes on a release of macOS.

    Raises:
        UserError: uv could not, with its message.
    """
    lock = ["--require-hashes", "--no-deps", "-r", str(profile.lock_path(platform.name))]
    _install(profile.python, replace(platform, macos_deployment_target=macos), folder, lock)


def lay_down(
    requirements: list[str], python: str, platform: Platform, folder: Path, *, until: str, cache: Path
) -> None:
    """Put packages into a folder, with what they need.

    Args:
        requirements: pins, for example tensorflow==2.16.1.
        python: minor version.
        platform: for which machine.
        folder: an empty folder.
        until: day (YYYY-MM-DD) after which uploads are ignored.
        cache: where uv keeps what it downloads.

    Raises:
        UserError: uv could not, with its message.
    """
    _install(python, platform, folder, ["--exclude-newer", f"{until}T00:00:00Z", *requirements], cache)


def lay_down_alone(requirements: list[str], python: str, platform: Platform, folder: Path, *, cache: Path) -> None:
    """Put exactly these packages into a folder, whatever they say they need.

    Raises:
        UserError: uv could not, with its message.
    """
    _install(python, platform, folder, ["--no-deps", *requirements], cache)


def lay_down_file(
    file: Path, target: Target, folder: Path, extras: Iterable[str] = (), without: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Put the packages of a requirements file or a lock into a folder, as a Mac with the target's oldest macOS would.

    Args:
        file: a pylock.toml or pylock.NAME.toml (PEP 751), a uv.lock, or requirements for pip.
        target: what they are meant for.
        folder: a new folder.
        extras: of a uv.lock's project.
        without: packages of requirements and of a uv.lock that are left out, by canonical name, and why.

    Returns:
        What is no wheel and cannot be looked at, as in sources.Requirements.

    Raises:
        UserError: the file cannot be read, or the packages cannot be had as wheels.
    """
    platform = Platform("darwin-arm64", "aarch64-apple-darwin", macos_deployment_target=show_version(target.floor))
    requirements = folder.parent / f"{folder.name}.txt"
    left_out: dict[str, str] = {}
    if is_valid_pylock_path(file):
        requirements.write_text("".join(_wheels(file, target, without or {}, left_out)), encoding="utf-8")
        arguments = ["--require-hashes", "--no-deps", "-r", str(requirements)]
    else:
        of_project = file.name == "uv.lock"
        lock = _read_lock(file) if of_project else {}
        without = {**_without_wheels(lock, target), **(without or {})}
        wanted = sources.read(_export(file, lock, requirements, extras) if of_project else file, target, without)
        left_out = wanted.left_out
        if of_project:
            names = _projects(lock)
            left_out = {names.get(place.removeprefix("./"), place): why for place, why in left_out.items()}
            for index, lines in _by_index(wanted.lines, _indexes(file, lock, target)).items():
                requirements.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
                _install_from(index, target, platform, folder, ["-r", str(requirements), "--no-deps"], lines)
            return left_out
        requirements.write_text("".join(f"{line}\n" for line in wanted.lines), encoding="utf-8")
        arguments = ["-r", str(requirements)]
        elsewhere = [*without, *(one for one in left_out if is_normalized_name(one))]
        if elsewhere:
            overrides = requirements.with_suffix(".overrides")
            overrides.write_text("".join(f"{name}; python_version < '0'\n" for name in elsewhere), encoding="utf-8")
            arguments += ["--overrides", str(overrides)]
            left_out = {**without, **left_out}
    _install(target.python, platform, folder, arguments)
    return left_out


def _read_lock(file: Path) -> dict[str, Any]:
    """What a uv.lock says; nothing where it is none, which uv tells in its own words."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}


def _export(file: Path, lock: Mapping[str, Any], requirements: Path, extras: Iterable[str]) -> Path:
    """Have the packages of a uv.lock as requirements, and return their file.

    uv wants the project's pyproject.toml beside it. Where that is not there, one with what the lock says of its project
    does: with --frozen uv goes by the lock.
    """
    project = file.parent
    if not (project / "pyproject.toml").is_file():
        project = requirements.with_suffix("")
        project = project.with_name(f"{project.name}-project")
        project.mkdir(exist_ok=True)
        (project / "uv.lock").write_bytes(file.read_bytes())
        (project / "pyproject.toml").write_text(_project_of(file, lock), encoding="utf-8")
    export = ["export", "--quiet", "--no-config", "--frozen", "--no-emit-project", "--no-header", "--no-annotate"]
    export += ["--no-dev", "--format", "requirements.txt", "--output-file", str(requirements)]
    export += [word for extra in extras for word in ("--extra", extra)]
    where = ["--project", str(project), "--python", sys.executable, "--no-python-downloads"]
    _run([*export, *where], dict(os.environ), f"read {file}")
    return requirements


def _without_wheels(lock: Mapping[str, Any], target: Target) -> dict[str, str]:
    """The packages of a uv.lock, NAME==VERSION, that have no wheel for a target, and the words for it."""
    fitting, found = frozenset(target.tags), dict[str, bool]()
    try:
        for one in lock["package"]:
            wheels = [next(wheel[key] for key in _PLACES if key in wheel) for wheel in one.get("wheels", ())]
            fits = any(fitting & _tags(unquote(urlsplit(wheel).path.rpartition("/")[2])) for wheel in wheels)
            name = f"{canonicalize_name(one['name'])}=={one.get('version')}"
            found[name] = found.get(name, False) or fits
    except _ODD:
        return {}  # which uv tells in its own words
    macos = show_version(target.floor)
    return {
        name: f"{name.partition('==')[0]} has no wheel for Python {target.python} on macOS {macos}"
        for name, fits in found.items()
        if not fits
    }


def _indexes(file: Path, lock: Mapping[str, Any], target: Target) -> dict[str, str]:
    """The indexes of a uv.lock's packages, by NAME==VERSION and by the hashes of the wheels.

    Raises:
        UserError: it is for other versions of Python.
    """
    indexes: dict[str, str] = {}
    try:
        wanted = SpecifierSet(lock.get("requires-python", ""))
        for one in lock["package"]:
            index = one["source"].get("registry")
            if isinstance(index, str):
                place = index if urlsplit(index).scheme else (file.parent / index).resolve().as_uri()
                known = [
                    f"{one['name']}=={one.get('version')}",
                    *(wheel.get("hash") for wheel in one.get("wheels", ())),
                ]
                indexes.update({str(key): place for key in known})
    except _ODD:
        return {}
    if not any(wanted.contains(f"{target.python}.{patch}") for patch in (0, 99)):
        raise UserError(f"{file} is for Python {wanted}, not for {target.python}. Say which with --python.")
    return indexes


def _by_index(lines: Iterable[str], indexes: Mapping[str, str]) -> dict[str, list[str]]:
    """Requirements by their index, empty where none is known: uv asks several for each name, and takes the first.

    Hashes decide, where there are some: one version may come from another index for another system.
    """
    found: dict[str, list[str]] = {"": []}
    for line in lines:
        known = _HASH.findall(line) or [line.split()[0]]
        found.setdefault(next((indexes[key] for key in known if key in indexes), ""), []).append(line)
    return found


def _install_from(
    index: str, target: Target, platform: Platform, folder: Path, arguments: list[str], lines: list[str]
) -> None:
    """Lay packages down from the index that is set up here, a mirror maybe, and where it has not all, from their own.

    What has no hash comes from its own alone: it might be another package of that name.
    """
    if not index or all(map(_HASH.search, lines)):
        try:
            return _install(target.python, platform, folder, arguments)
        except UserError:
            if not index:
                raise
    arguments += ["--index", index, "--index-strategy", "unsafe-best-match"]
    return _install(target.python, platform, folder, arguments)


def _projects(lock: Mapping[str, Any]) -> dict[str, str]:
    """The names of a uv.lock's projects that lie in folders, by these."""
    try:
        sources = [(one["name"], one["source"]) for one in lock["package"]]
        return {place: name for name, source in sources for place in source.values() if isinstance(place, str)}
    except _ODD:
        return {}


def _tags(wheel: str) -> frozenset[Tag]:
    try:
        if _number_of_tags(wheel) > MAX_TAGS:
            return frozenset()
        return parse_wheel_filename(wheel)[3]
    except InvalidWheelFilename:
        return frozenset()


def _number_of_tags(wheel: str) -> int:
    """How many tags the name of a wheel stands for."""
    return math.prod(part.count(".") + 1 for part in wheel.removesuffix(".whl").split("-")[-3:])


def _check_tags(packages: Iterable[Mapping[str, Any]]) -> None:
    """Look at the names of wheels of a lock, which packaging takes from one of three places, before it does."""
    for one in packages:
        for wheel in one.get("wheels", ()):
            names = [str(wheel.get("name")), str(wheel.get("path"))]
            names.append(unquote(urlparse(str(wheel.get("url"))).path.rpartition("/")[2]))
            if (number := max(map(_number_of_tags, names))) > MAX_TAGS:
                raise ValueError(f"the name of a wheel of {one.get('name')} stands for {number} tags")


def _project_of(file: Path, lock: Mapping[str, Any]) -> str:
    """A pyproject.toml for a lock: of the package that is the lock's own project."""
    try:
        own = next(one for one in lock["package"] if one["source"] in ({"editable": "."}, {"virtual": "."}))
        extras = "".join(f"{json.dumps(extra)} = []\n" for extra in own.get("optional-dependencies", {}))
        return (
            f'[project]\nname = {json.dumps(own["name"])}\nversion = "0"\n'
            f"requires-python = {json.dumps(lock['requires-python'])}\n[project.optional-dependencies]\n{extras}"
        )
    except _ODD as error:
        raise UserError(f"{file} cannot be used: it is no lock of a project, as uv writes it.") from error


def _wheels(file: Path, target: Target, without: Mapping[str, str], left_out: dict[str, str]) -> Iterator[str]:
    """The wheels that a lock gives to a target, as lines of requirements; `left_out` is told what else it gives."""
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
        data["packages"] = [one for one in data.get("packages", ()) if one.get("name") not in without]
        left_out.update(without)
        _check_tags(data["packages"])
        lock = Pylock.from_dict(data)
        for one in lock.packages:  # of several builds the newest comes first, as select takes the first that fits
            if one.wheels:
                cast("list[PackageWheel]", one.wheels).sort(
                    key=lambda wheel: parse_wheel_filename(wheel.filename)[2], reverse=True
                )
        chosen = list(lock.select(environment=cast("Environment", target.markers), tags=target.tags))
    except _UNUSABLE as error:
        raise UserError(f"{file} cannot be used: {error}. --without NAME leaves a package out.") from error
    for package, wheel in chosen:
        if not isinstance(wheel, PackageWheel | PackageArchive) or not _is_wheel(wheel):
            left_out[package.name] = f"{package.name} has no wheel for Python {target.python} in {file.name}"
            continue
        place = wheel.url or (file.parent / str(wheel.path)).resolve().as_uri()
        line = f"{package.name} @ {place} {' '.join(f'--hash={how}:{known}' for how, known in wheel.hashes.items())}"
        if not _LINE.fullmatch(line):
            raise UserError(f"{file} cannot be used: the wheel of {package.name} has no address or no hash.")
        yield f"{line}\n"


def _is_wheel(one: PackageWheel | PackageArchive) -> bool:
    return isinstance(one, PackageWheel) or urlsplit(str(one.url or one.path)).path.endswith(".whl")


def _install(python: str, platform: Platform, folder: Path, arguments: list[str], cache: Path | None = None) -> None:
    environment = dict(os.environ)
    if cache is not None:
        environment["UV_CACHE_DIR"] = str(cache)
    if platform.macos_deployment_target:
        # Without it uv assumes an older macOS and picks older wheels.
        environment["MACOSX_DEPLOYMENT_TARGET"] = platform.macos_deployment_target
    command = ["pip", "install", "--quiet", "--no-config", "--only-binary", ":all:"]
    command += ["--link-mode", "hardlink"]  # on a Mac it would make clones, which cannot be told to be the same file
    where = [
        "--python",
        sys.executable,
        "--python-version",
        f"{python}.99",  # the newest, as in the markers
        "--python-platform",
        platform.uv_platform,
    ]
    what = f"lay the packages down for {platform.name}"
    _run([*command, *where, "--target", str(folder), *arguments], environment, what)


def _run(arguments: list[str], environment: dict[str, str], what: str) -> None:
    command = [find_uv_bin(), *arguments]
    with _limited(resource.RLIMIT_FSIZE, macho.MAX_FILE), _limited(resource.RLIMIT_CPU, _SECONDS):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode in (-signal.SIGXFSZ, -signal.SIGXCPU):
        raise UserError(
            f"uv could not {what}: a wheel has a file of more than {macho.MAX_FILE} bytes, or it takes more than "
            f"{_SECONDS} seconds of the processor to unpack them."
        )
    if done.returncode != 0:
        raise UserError(f"uv could not {what}:\n{_said(done.stderr.strip(), arguments)}")


def _said(text: str, arguments: list[str]) -> str:
    """What uv says, with no line numbers of a file that was made up for it and is gone."""
    for one in arguments:
        if one.endswith((".txt", ".overrides")):
            text = re.sub(
                rf"`?\S*{re.escape(Path(one).name)}`?(?::\d+:\d+| at position \d+)?", "the requirements", text
            )
    return text


@contextmanager
def _limited(which: int, most: int) -> Iterator[None]:
    """Have what is started meanwhile get a limit: of this process itself, and of what it starts."""
    soft, hard = resource.getrlimit(which)
    others = [one for one in (soft, hard) if one != resource.RLIM_INFINITY]
    resource.setrlimit(which, (min([most, *others]), hard))
    try:
        yield
    finally:
        resource.setrlimit(which, (soft, hard))
