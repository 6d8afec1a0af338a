"""The page: results in, one HTML document out."""

import base64
import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ..documents import MalformedError
from ..results import drift
from ..results.files import Refused, Stored, file_name, gather, replace
from ..text import plain
from . import archive, labels, view
from .drift_view import Drifted, drifted
from .language import Language
from .view import HostView, State

FILE = "report.html"
_HERE = Path(__file__).resolve().parent


@dataclass
class Page:
    """The page as one document that needs nothing else: no file, no network, no script.

    Attributes:
        text: the document.
        broken: results that could not be shown, by the names of their files, and why; the page says so of each.
    """

    text: str
    broken: dict[str, Exception]


def render(
    results: list[Stored], refused: list[Refused], language: Language, checked: drift.Known | None = None
) -> Page:
    """Make the page.

    Args:
        results: one per host and profile; their order does not matter.
        refused: the files to name as not read.
        language: to write it in.
        checked: what is known of drift, after drift.schema.json.
    """
    environment = _environment(language)
    shown, broken = _sections(results, environment, language)
    hosts = [view for view, _ in shown]
    for name, error in broken.items():
        reason = f"verify failed to show it: {type(error).__name__}: {error}"
        refused = [*refused, Refused(Path(name), " ".join(reason.split())[:300])]
    machines = _machines(hosts, [one for one in results if _file(one) in broken])
    looked = drifted(checked or {}, language)
    style = (_HERE / "style.css").read_text(encoding="utf-8")
    present = {name for host in hosts for name in host.cells}
    known = [name for name in labels.frameworks() if name in present]
    text = environment.get_template("page.html.j2").render(
        tag=language.tag,
        policy=_policy(style),
        style=Markup(style),  # noqa: S704 - a file of ours
        headline=_headline(machines, looked, language),
        counts=_counts(machines, language),
        hosts=hosts,
        broken=sorted(plain(title) for name, title in _titles(results).items() if name in broken),
        sections=[section for _, section in shown],
        drift=looked,
        drifting={(one.host, one.profile) for one in looked if one.state == "warn"},
        raw=archive.link(results),
        frameworks=[*known, *sorted(present - set(known))],
        names=labels.frameworks(),
        refused=[(plain(one.path.name), plain(one.reason)) for one in refused],
        now=language.time(datetime.now(UTC)),
        word=_word(language),
    )
    return Page(text, broken)


def write(folder: Path, language: Language) -> tuple[Path, dict[str, Exception]]:
    """Make the page of all results in a folder, and put it there.

    Returns:
        the page's path, and what could not be shown on it, as in Page.

    Raises:
        OSError: it cannot be written.
    """
    results, refused = gather(folder)
    checked: drift.Known = {}
    try:
        checked = drift.read(folder)
    except (MalformedError, OSError) as error:
        refused.append(Refused(folder / drift.FILE, str(error)))
    page = render(results, refused, language, checked)
    # Surrogates, which a file's name may hold, have no UTF-8.
    replace(folder / FILE, page.text.encode("utf-8", "replace"))
    return folder / FILE, page.broken


def _environment(language: Language) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        # All of it, whatever a file is called: what hosts say is text, never markup.
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_callables(  # type: ignore[attr-defined]
        language.translations.gettext, language.translations.ngettext, newstyle=True
    )
    return environment


def _word(language: Language) -> Callable[[str], str]:
    return lambda result: language.lookup(labels.RESULTS[result])


def _sections(
    results: list[Stored], environment: Environment, language: Language
) -> tuple[list[tuple[HostView, Markup]], dict[str, Exception]]:
    """Each result with its section, those that need a person first; and those of which none could be made."""
    made: list[tuple[HostView, str]] = []
    titles = _titles(results)
    broken: dict[str, Exception] = {}
    for one in results:
        try:
            made.append((view.host(one, language, titles[_file(one)]), _file(one)))
        except Exception as error:  # a fault of ours, which keeps no other host off the page
            broken[_file(one)] = error
    made.sort(key=lambda one: view.urgency(one[0]))
    template, found = environment.get_template("host.html.j2"), []
    for number, (host, name) in enumerate(made, start=1):
        host.anchor = f"host-{number}"
        try:
            section = template.render(host=host, tag=language.tag, word=_word(language))
        except Exception as error:
            broken[name] = error
            continue
        found.append((host, Markup(section)))  # noqa: S704 - rendered by a template that escapes
    return found, broken


def _file(one: Stored) -> str:
    return file_name(one.data["host"], one.data["profile"])


def _titles(results: list[Stored]) -> dict[str, str]:
    """What to call each result, by the name of its file."""
    count = Counter(one.data["host"] for one in results)
    names = [(one, one.data["host"], one.data["profile"]) for one in results]
    return {_file(one): view.title(host, profile, alone=count[host] == 1) for one, host, profile in names}


def _machines(hosts: list[HostView], broken: list[Stored]) -> Counter[State]:
    """How many machines there are in each state; of several profiles on one, the worst counts."""
    states: dict[str, list[State]] = {one.data["host"]: ["unverified"] for one in broken}
    for host in hosts:
        states.setdefault(host.name, []).append(host.state)
    return Counter(view.worst(one) for one in states.values())


def _policy(style: str) -> str:
    """A Content-Security-Policy under which nothing is loaded or run, and only our style sheet styles."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _headline(machines: Counter[State], looked: list[Drifted], language: Language) -> str:
    total = machines.total()
    if not total and looked:
        off = len({one.host for one in looked if one.state == "warn"})
        return language.ngettext(
            "%(n)s of %(total)s machines has drifted",
            "%(n)s of %(total)s machines have drifted",
            off,
            total=len({one.host for one in looked}),
        )
    bad, unverified = machines["fail"], machines["unverified"]
    if not total:
        return language.gettext("No result to show")
    if total == 1 and (bad or unverified):
        gettext = language.gettext
        return gettext("The machine is unhealthy") if bad else gettext("The machine could not be verified")
    if unverified and not bad:
        return language.ngettext(
            "%(n)s of %(total)s machines could not be verified",
            "%(n)s of %(total)s machines could not be verified",
            unverified,
            total=total,
        )
    if bad:
        return language.ngettext(
            "%(n)s of %(total)s machines is unhealthy", "%(n)s of %(total)s machines are unhealthy", bad, total=total
        )
    return language.ngettext("The machine is healthy", "All %(n)s machines are healthy", total)


def _counts(machines: Counter[State], language: Language) -> list[tuple[str, str]]:
    """Per state that some machine has: the state, and how many in words."""
    words: dict[State, str] = {
        "unverified": language.ngettext(
            "%(n)s could not be verified", "%(n)s could not be verified", machines["unverified"]
        ),
        "fail": language.ngettext("%(n)s unhealthy", "%(n)s unhealthy", machines["fail"]),
        "warn": language.ngettext("%(n)s healthy, with warnings", "%(n)s healthy, with warnings", machines["warn"]),
        "pass": language.ngettext("%(n)s healthy", "%(n)s healthy", machines["pass"]),
    }
    return [(state, text) for state, text in words.items() if machines[state]]
