"""`python -m verify compare`: what became slower, or fails, since an earlier run or beside the rest of the fleet.

A figure is a regression when its quartiles do not touch the older ones and its median is lower by what two runs on that
machine differ by: as `python -m benchmarks.run_to_run` measured it there, else 5 %. Figures are compared with those of
the same profile, chip, framework, device, kind of number and size only.

exit code: 0 no regression, 1 regressions, 2 nothing could be compared
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ..documents import MalformedError
from ..errors import UserError
from ..results import comparison, history
from ..results.comparison import Comparison, Figure, Measured, Obstacle
from ..results.files import FOLDER, Stored, gather, load
from ..text import plain
from . import labels, language
from .labels import DTYPES, framework
from .language import Language

NOTHING = 2
_EPILOG = """\
examples:
  python -m verify compare                                each machine of results/ with its run before
  python -m verify compare before/ results/               folder with folder, machine by machine
  python -m verify compare before/mac-1.ml-m1.json results/mac-1.ml-m1.json
  python -m verify compare --fleet results/               each machine with the median of the others of its chip
  python -m verify compare --fleet results/ new.json      one machine with the median of the fleet
"""


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit code.

    Raises:
        UserError: a file or folder named on the command line cannot be used.
    """
    parser = _parser()
    given = parser.parse_args(arguments)
    spoken = language.choose(given.lang)
    if len(given.results) > (1 if given.fleet else 2):
        parser.error("too many results: OLD NEW, or NEW alone")
    if given.fleet:
        fleet = _read(given.fleet)
        new = _read(given.results[0]) if given.results else fleet
        found = [comparison.against_fleet(one, fleet) for one in new]
    elif len(given.results) == 2:  # noqa: PLR2004 - OLD and NEW
        found = _old_and_new(_read(given.results[0]), _read(given.results[1]))
    else:
        found = _with_history(given.results[0] if given.results else Path(FOLDER))
    count = Counter(one.host for one in found)
    for one in found:
        title = one.host if count[one.host] == 1 else f"{one.host} ({one.profile})"
        for line in _lines(one, title, spoken):
            # Hosts' names and files' names may hold anything.
            print(plain(line))
    if any(one.regressed for one in found):
        return 1
    return NOTHING if all(one.obstacle for one in found) else 0


def _old_and_new(old: list[Stored], new: list[Stored]) -> list[Comparison]:
    pairs = list(comparison.pairs(old, new))
    found = [comparison.compare(before, now) for before, now in pairs]
    paired = {one.path for pair in pairs for one in pair}
    for kind, side in (("only-old", old), ("only-new", new)):
        alone = [one for one in side if one.path not in paired]
        found += [Comparison(one.data["host"], one.data["profile"], obstacle=Obstacle(kind)) for one in alone]
    return found


def _with_history(path: Path) -> list[Comparison]:
    """Each result with the one before it in the history beside it."""
    folder = path if path.is_dir() else path.parent
    found = []
    for one in _read(path):
        host, profile, level = one.data["host"], one.data["profile"], one.data["level"]
        earlier = history.before(folder, host, profile, one.data["started"], level)
        if earlier is None:
            values = {"profile": profile, "level": level, "folder": history.folder(folder, host)}
            found.append(Comparison(host, profile, obstacle=Obstacle("no-earlier", values)))
            continue
        try:
            before = load(earlier)
            if before.data["host"] != host:
                raise MalformedError(f"it is of the machine {before.data['host']!r}")
            found.append(comparison.compare(before, one))
        except MalformedError as error:
            values = {"file": earlier, "reason": error}
            found.append(Comparison(host, profile, obstacle=Obstacle("unreadable", values)))
    return found


def _read(path: Path) -> list[Stored]:
    if path.is_dir():
        results, refused = gather(path)
        for one in refused:
            print(plain(f"{one.path}: {one.reason}"), file=sys.stderr)
        if not results:
            raise UserError(f"{path} holds no result that can be read. Name a folder that `python -m verify` wrote to.")
        return results
    try:
        return [load(path)]
    except MalformedError as error:
        raise UserError(f"{path}: {error}. Name a JSON file that `python -m verify` wrote.") from error


def _lines(one: Comparison, title: str, spoken: Language) -> Iterator[str]:
    """A comparison in words; `title` is what to call the machine."""
    if one.obstacle:
        reason = spoken.lookup(comparison.OBSTACLES[one.obstacle.kind]) % one.obstacle.values
        yield spoken.gettext("%(host)s: not compared: %(reason)s", host=title, reason=reason)
        return
    against = f"{one.against}, {one.since}" if one.since else one.against
    count = len(one.slower) + len(one.worse)
    share = spoken.short(one.margin * 100)
    apart = (
        spoken.gettext("noise measured here: %(share)s%%", share=share)
        if one.noise
        else spoken.gettext("noise taken as %(share)s%%, not measured here", share=share)
    )
    if count:
        yield spoken.ngettext(
            "%(host)s: %(n)s regression (against %(against)s; %(compared)s compared, %(noise)s)",
            "%(host)s: %(n)s regressions (against %(against)s; %(compared)s compared, %(noise)s)",
            count,
            host=title,
            against=against,
            compared=one.compared,
            noise=apart,
        )
    else:
        yield spoken.gettext(
            "%(host)s: no regression (against %(against)s; %(compared)s compared, %(noise)s)",
            host=title,
            against=against,
            compared=one.compared,
            noise=apart,
        )
    for slow in one.slower:
        yield "  " + spoken.gettext(
            "%(what)s: %(change)s, %(new)s after %(old)s",
            what=_what(slow.measured, spoken),
            change=spoken.percent(slow.change),
            new=_figure(slow.new, spoken),
            old=_figure(slow.old, spoken),
        )
    for bad in one.worse:
        yield "  " + spoken.gettext(
            "%(what)s: %(new)s [%(fault)s], was: %(old)s",
            what=f"{labels.check(bad.check, spoken)} ({bad.check})",
            new=spoken.lookup(labels.RESULTS[bad.new]),
            fault=bad.fault,
            old=spoken.lookup(labels.RESULTS[bad.old]),
        )
    if one.left_out:
        names = ", ".join(_what(measured, spoken) for measured in one.left_out)
        yield "  " + spoken.gettext("not compared, since only one of both has it: %(names)s", names=names)


def _what(measured: Measured, spoken: Language) -> str:
    name = framework(measured.framework)
    if measured.kind == "bandwidth":
        return spoken.gettext("%(framework)s, memory bandwidth", framework=name)
    dtype = DTYPES.get(measured.dtype, measured.dtype)
    if measured.kind == "sustained":
        return spoken.gettext("%(framework)s %(dtype)s, n=%(n)s, sustained", framework=name, dtype=dtype, n=measured.n)
    return f"{name} {dtype}, n={measured.n}"


def _figure(figure: Figure, spoken: Language) -> str:
    return f"{spoken.number(figure.value)} {figure.unit} ({spoken.span(figure.low, figure.high)})"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m verify compare",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "results",
        nargs="*",
        type=Path,
        metavar="[OLD] NEW",
        help="files or folders with results; without OLD, the run before in the history (default: results)",
    )
    parser.add_argument(
        "--fleet",
        type=Path,
        metavar="FOLDER",
        help="compare with the median of the other machines of the same chip and profile",
    )
    parser.add_argument("--lang", help=language.HELP)
    return parser
