"""`python -m verify linkcheck`: will locked wheels load on a Mac? Answered without one.

Asked of a profile, of a requirements file or lock of any project, or of an environment that is there; and of every
macOS from the oldest that it serves to the newest. There may be several wheels of a package, and a Mac takes the newest
that its macOS allows.
"""

import argparse
import hashlib
import json
import os
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from packaging.utils import canonicalize_name
from rich.console import Console

from .. import macos
from ..errors import UserError
from ..macos import Version
from ..profile import model as profiles
from ..profile.model import Profile
from ..profile.names import DEFAULT
from ..text import line
from . import limits, sarif, staging
from .check import Check, Progress
from .findings import accept, plain_finding, plain_line
from .packages import Target
from .report import Choice, Report, merge, show, write_json
from .tree import Known, Tree

PLATFORM = "darwin-arm64"
_OLDEST: Version = (14, 0, 0)
"""The oldest macOS that PyTorch and MLX have wheels for."""
_SITE = "lib/python3.*/site-packages"


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit code: 0 all loads, 1 something does not."""
    parser = argparse.ArgumentParser(
        prog="python -m verify linkcheck",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--profile", default=DEFAULT, help="a profile, or the path of its folder (default: %(default)s)")
    what.add_argument(
        "--requirements", type=Path, metavar="FILE", help="a requirements.txt, pylock.toml (PEP 751) or uv.lock"
    )
    what.add_argument(
        "--environment", type=Path, metavar="FOLDER", help="an environment of a Mac, or a folder with its site-packages"
    )
    parser.add_argument(
        "--python", type=_python, metavar="3.X", help="of --requirements and --environment (default: this one's)"
    )
    parser.add_argument(
        "--macos",
        type=_releases,
        metavar="VERSION,…",
        help="of --requirements and --environment (default: 14 and each newer one)",
    )
    parser.add_argument(
        "--extra", action="append", default=[], metavar="NAME", help="of a uv.lock's project, with its packages"
    )
    parser.add_argument(
        "--without",
        action="append",
        default=[],
        metavar="NAME",
        help="a package of --requirements that has no wheel, and is not to be looked at",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there as well")
    parser.add_argument("--sarif", type=Path, metavar="FILE", help="write it as SARIF, which code hosts show")
    parser.add_argument(
        "--wheels",
        action="store_true",
        help="write which packages of the profile's lock have wheels of their own for a macOS",
    )
    parser.add_argument("--fresh", action="store_true", help="check even if nothing has changed since the last time")
    options = parser.parse_args(arguments)
    for path in (options.json, options.sarif):
        if path and not path.parent.is_dir():
            parser.error(f"there is no folder {path.parent} to write {path.name} into")
    if options.requirements or options.environment:
        own = _python_of(options.environment)  # which refuses some, whatever is asked for
        python = options.python or own or ".".join(map(str, sys.version_info[:2]))
        releases = options.macos or macos.served(_OLDEST)
        target = Target(python, releases[0], os.environ.get("ENABLE_PJRT_COMPATIBILITY") in ("1", "true"))
        if options.requirements:
            report = check_requirements(options.requirements, target, releases, say, options.extra, options.without)
        else:
            report = check_environment(options.environment, target, releases, say)
        subject = options.requirements or options.environment
    else:
        if options.python or options.macos or options.extra or options.without:
            parser.error("a profile has its own Python, macOS and packages")
        loaded = profiles.load(options.profile)
        report = check_profile(loaded, say, fresh=options.fresh)
        subject = loaded.lock_path(PLATFORM)
        if options.wheels:
            write_wheels(report, loaded)
    show(report, Console(highlight=False))
    if options.json:
        write_json(report, options.json)
    if options.sarif:
        sarif.write(report, subject, options.sarif)
    return 0 if report.loads else 1


def _python(text: str) -> str:
    if not re.fullmatch(r"3\.[0-9]+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a minor version such as 3.12")
    return text


def _releases(text: str) -> tuple[Version, ...]:
    try:
        return tuple(sorted({macos.parse_version(one) for one in text.split(",")}))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not VERSION,VERSION,…") from error


def say(what: str) -> None:
    """Tell what is being done, apart from the result."""
    print(f"linkcheck: {line(what)}", file=sys.stderr)


def check_profile(loaded: Profile, progress: Progress, *, fresh: bool = False) -> Report:
    """Check a profile's lock, or take the result of the last time where neither it nor the check has changed.

    Raises:
        UserError: the lock is missing or out of date, or its wheels cannot be had.
    """
    lock = loaded.lock(PLATFORM)
    digest = hashlib.sha256(lock.path.read_bytes()).hexdigest()
    target = target_of(loaded)
    kept = _cache_folder() / f"{_key(digest, target)}.json"
    report = None if fresh else _kept(kept)
    if report is None:
        started = time.monotonic()
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="tree-", dir=kept.parent) as folder:
            platform = loaded.platform(PLATFORM)

            def lay_down(one: Target, place: Path) -> None:
                staging.lay_down_lock(loaded, platform, place, macos.show_version(one.floor))

            places = _lay_down(lay_down, target, macos.served(target.floor), Path(folder), progress)
            report = _with_peak(limits.run(check_laid, progress, places, loaded.name))
        report = replace(report, lock_sha256=digest, seconds=time.monotonic() - started)
        _keep(report, kept)
    else:
        progress(f"the lock has not changed since it was checked ({report.checked_at})")
    path = loaded.directory / "profile.yml"
    return report.with_findings(accept(report.findings, loaded.accepted_findings, str(path)))


@dataclass
class _Laid:
    """Wheels that were laid down, what they are meant for, and the packages that an older release takes otherwise."""

    tree: Tree
    target: Target
    differs: tuple[str, ...] = ()


def _lay_down(
    lay_down: Callable[[Target, Path], None],
    target: Target,
    releases: Iterable[Version],
    folder: Path,
    progress: Progress,
) -> list[tuple[Target, Path]]:
    """Lay packages down as each macOS takes them.

    Args:
        lay_down: puts the packages for a target's oldest macOS into a folder.
        target: what they are meant for; of its macOS `releases` take the place.
        releases: in order.
        folder: where.
        progress: is told what is done.

    Returns:
        What each folder is meant for, and the folder.
    """
    places: list[tuple[Target, Path]] = []
    for release in releases:
        here, place = replace(target, floor=release), folder / macos.show_version(release)
        progress(f"laying packages down as macOS {place.name} takes them")
        lay_down(here, place)
        places.append((here, place))
    return places


def check_laid(progress: Progress, places: list[tuple[Target, Path]], subject: str) -> Report:
    """Check packages that were laid down as each of several releases takes them, once where those are the same.

    Args:
        progress: is told what is done.
        places: what each folder is meant for, the oldest macOS first, and the folder.
        subject: what is checked.
    """
    known, laid = Known(), list[_Laid]()
    for here, place in places:
        progress(f"reading the files of macOS {place.name}")
        tree = Tree.scan(place, known)
        same = next((one for one in laid if tree.is_same(one.tree)), None)
        if same is None:
            differs = _differing(tree, laid[0].tree) if laid else ()
            laid.append(_Laid(tree, here, differs))
        else:
            same.target = replace(same.target, later=(*same.target.later, here.floor))
    return merge([_check(choice, subject, progress) for choice in laid])


def _differing(tree: Tree, first: Tree) -> tuple[str, ...]:
    """The packages (NAME-VERSION) of which two trees have other files, as their RECORDs say."""
    end = ".dist-info/RECORD"
    records = sorted(path for path in tree.files if path.endswith(end) and path.count("/") == 1)
    return tuple(
        path.removesuffix(end) for path in records if path not in first.files or tree.digest(path) != first.digest(path)
    )


def write_wheels(report: Report, loaded: Profile) -> None:
    """Write which packages of a profile's lock have wheels of their own for a macOS, for `verify run` to know."""
    wheels: dict[str, set[int]] = {}
    for choice in report.choices:
        for name, number in choice.wheels.items():
            wheels.setdefault(name, set()).add(number)
    known = {
        "lock": report.lock_sha256,
        "wheels": {name: sorted(found) for name, found in sorted(wheels.items()) if len(found) > 1},
    }
    loaded.wheels_path(PLATFORM).write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


def check_requirements(
    file: Path,
    target: Target,
    releases: Iterable[Version],
    progress: Progress,
    extras: Iterable[str] = (),
    without: Iterable[str] = (),
) -> Report:
    """Check the packages of a requirements file or a lock, as each macOS takes them.

    Args:
        file: requirements for pip, a pylock.toml, or a uv.lock.
        target: what the packages are meant for; of its macOS `releases` take the place.
        releases: in order.
        progress: is told what is done.
        extras: of a uv.lock's project.
        without: names of packages that are left out, with what they alone need.

    Raises:
        UserError: it cannot be read, or the packages cannot be had as wheels.
    """
    started = time.monotonic()
    if not file.is_file():
        raise UserError(f"There is no file {file}.")
    _cache_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tree-", dir=_cache_folder()) as folder:
        left_out: dict[str, str] = {}
        unwanted: dict[str, str] = {canonicalize_name(name): f"{name} is left out, as asked" for name in without}

        def lay_down(one: Target, place: Path) -> None:
            left_out.update(staging.lay_down_file(file.resolve(), one, place, extras, unwanted))

        places = _lay_down(lay_down, target, releases, Path(folder), progress)
        report = _with_peak(limits.run(check_laid, progress, places, file.name)).without(left_out)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return replace(report, lock_sha256=digest, seconds=time.monotonic() - started)


def check_environment(folder: Path, target: Target, releases: tuple[Version, ...], progress: Progress) -> Report:
    """Check an environment that is there: the folder itself, or its lib/pythonX.Y/site-packages.

    What else lies there, such as compiled code and scripts, is nobody's fault.

    Raises:
        UserError: it has no packages.
    """
    site = _site(folder)
    if not any(one.is_file() and not one.is_symlink() for one in site.glob("*.dist-info/METADATA")):
        inside = [one for one in (".venv", ".pixi/envs/default") if (folder / one).is_dir()]
        hint = (
            f" Is {folder / inside[0]} meant?"
            if inside
            else " Needed: an environment's folder, whose files are there and are no links to elsewhere."
        )
        raise UserError(f"There are no packages in {folder}.{hint}")
    whole = replace(target, floor=releases[0], later=releases[1:])
    report = limits.run(check_folder, progress, site, whole, str(folder))
    return report.with_findings(one for one in report.findings if one.kind not in ("no-owner", "leaves-folder"))


def _python_of(environment: Path | None) -> str | None:
    """The Python of an environment, as the folder of its packages says."""
    name = _site(environment).resolve().parent.name if environment else ""
    if re.fullmatch(r"python3\.[0-9]+t", name):
        raise UserError(f"{environment} is for a free-threaded Python ({name}), whose wheels are not known here.")
    return name.removeprefix("python") if re.fullmatch(r"python3\.[0-9]+", name) else None


def _site(environment: Path) -> Path:
    """The folder with an environment's packages. conda has python3.1 lead to python3.10 and newer."""
    return next(iter(sorted(one for one in environment.glob(_SITE) if not one.parent.is_symlink())), environment)


def target_of(loaded: Profile) -> Target:
    """What a profile's packages are meant for."""
    floor = loaded.platform(PLATFORM).macos_floor or loaded.platform(PLATFORM).macos_deployment_target or "11.0"
    # As in the activated environment, which has the variables of all.
    sets = [loaded.base, *loaded.frameworks.values()]
    compatibility = any(one.environment.get("ENABLE_PJRT_COMPATIBILITY") in ("1", "true") for one in sets)
    return Target(loaded.python, macos.parse_version(floor), compatibility)


def check_folder(progress: Progress, folder: Path, target: Target, subject: str, hashes: bool = True) -> Report:
    """Check the packages in a folder.

    Args:
        progress: is told what is done.
        folder: where they lie.
        target: what they are meant for.
        subject: what is checked.
        hashes: whether files are compared with the hashes in their RECORD.
    """
    progress("reading the files")
    return _check(_Laid(Tree.scan(folder), target), subject, progress, hashes=hashes)


def _check(laid: _Laid, subject: str, progress: Progress, *, hashes: bool = True) -> Report:
    started = time.monotonic()
    result = Check(laid.tree, laid.target, progress, hashes=hashes).run()
    return Report(
        subject=subject,
        platform=PLATFORM,
        python=laid.target.python,
        releases=result.releases,
        choices=(Choice(result.releases, laid.differs, result.counts, result.wheels),),
        lock_sha256=None,
        checked_at=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=time.monotonic() - started,
        peak_mb=_peak_mb(resource.RUSAGE_SELF),
        findings=tuple(map(plain_finding, result.findings)),
        assumptions=tuple(map(plain_line, result.assumptions)),
    )


def _with_peak(report: Report) -> Report:
    """A report with the most memory of this process and of uv too."""
    own = max(_peak_mb(resource.RUSAGE_SELF), _peak_mb(resource.RUSAGE_CHILDREN))
    return replace(report, peak_mb=max(own, report.peak_mb))


def _peak_mb(who: int) -> float:
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(who).ru_maxrss * unit / 1e6


def _cache_folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "metal-lab" / "linkcheck"


def _key(lock: str, target: Target) -> str:
    """Digest of all that a result depends on: the lock, the target, the releases of macOS, the check's own files."""
    digest = hashlib.sha256(f"{lock} {target} {macos.releases()}".encode())
    for path in sorted(Path(__file__).parent.iterdir()):
        if path.suffix in (".py", ".json", ".txt"):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _kept(path: Path) -> Report | None:
    try:
        return Report.from_document(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def _keep(report: Report, path: Path) -> None:
    partial = path.with_suffix(".partial")
    write_json(report, partial)
    partial.replace(path)
