"""The page: results in, one HTML document out."""

import base64
import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from verify.report import archive, labels, view
from verify.report.drift_view import Drifted, drifted
from verify.report.language import Language
from verify.report.summary import plain
from verify.results import drift
from verify.results.files import Refused, Stored, UnreadableError, gather

FILE = "report.html"
_HERE = Path(__file__).resolve().parent


def render(
    results: list[Stored], refused: list[Refused], language: Language, checked: dict[str, dict[str, Any]] | None = None
) -> str:
    """The page as one document that needs nothing else: no file, no network, no script.

    Args:
        results: one per host; their order does not matter.
        refused: the files to name as not read.
        language: to write it in.
        checked: what is known of drift, by machine, after drift.schema.json.
    """
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
    hosts = view.hosts(results, language)
    looked = drifted(checked or {}, language)
    style = (_HERE / "style.css").read_text(encoding="utf-8")
    present = {name for host in hosts for name in host.cells}
    known = [name for name in labels.FRAMEWORKS if name in present]
    return environment.get_template("page.html.j2").render(
        tag=language.tag,
        policy=_policy(style),
        style=Markup(style),  # noqa: S704 - a file of ours
        headline=_headline(hosts, looked, language),
        counts=_counts(hosts, language),
        hosts=hosts,
        drift=looked,
        drifting={one.name for one in looked if one.state == "warn"},
        raw=archive.link(results),
        frameworks=[*known, *sorted(present - set(known))],
        names=labels.FRAMEWORKS,
        refused=[(plain(one.path.name), plain(one.reason)) for one in refused],
        now=language.time(datetime.now(UTC)),
        word=lambda result: language.lookup(labels.RESULTS[result]),
    )


def write(folder: Path, language: Language) -> Path:
    """Make the page of all results in a folder, and put it there.

    Returns:
        the page's path.

    Raises:
        OSError: it cannot be written.
    """
    results, refused = gather(folder)
    checked: dict[str, dict[str, Any]] = {}
    try:
        checked = drift.read(folder)
    except UnreadableError as error:
        refused.append(Refused(folder / drift.FILE, str(error)))
    path = folder / FILE
    # A name of its own: two runs may make the page at the same time.
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    # Surrogates, which a result may hold, have no UTF-8.
    unfinished.write_text(render(results, refused, language, checked), encoding="utf-8", errors="replace")
    unfinished.replace(path)
    return path


def _policy(style: str) -> str:
    """A Content-Security-Policy under which nothing is loaded or run, and only our style sheet styles."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _headline(hosts: list[view.HostView], looked: list[Drifted], language: Language) -> str:
    if not hosts and looked:
        off = sum(one.state == "warn" for one in looked)
        return language.ngettext(
            "%(n)s of %(total)s machines has drifted",
            "%(n)s of %(total)s machines have drifted",
            off,
            total=len(looked),
        )
    bad = sum(host.state == "fail" for host in hosts)
    total = len(hosts)
    if not total:
        return language.gettext("No result to show")
    if bad:
        return language.ngettext(
            "%(n)s of %(total)s machines is unhealthy", "%(n)s of %(total)s machines are unhealthy", bad, total=total
        )
    return language.ngettext("The machine is healthy", "All %(n)s machines are healthy", total)


def _counts(hosts: list[view.HostView], language: Language) -> list[tuple[str, str]]:
    """Per state that some host has: the state, and how many in words."""
    number = {state: sum(host.state == state for host in hosts) for state in ("fail", "warn", "pass")}
    words = {
        "fail": language.ngettext("%(n)s unhealthy", "%(n)s unhealthy", number["fail"]),
        "warn": language.ngettext("%(n)s healthy, with warnings", "%(n)s healthy, with warnings", number["warn"]),
        "pass": language.ngettext("%(n)s healthy", "%(n)s healthy", number["pass"]),
    }
    return [(state, words[state]) for state, count in number.items() if count]
