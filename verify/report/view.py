"""What the page shows of a result, made ready for the template: in words, in order, with charts."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from .. import documents
from ..checks.advice import ADVICE, addressed, current
from ..results.files import Stored
from . import labels
from .facts import facts
from .language import Language
from .measurements import Measures, largest, measures

State = Literal["unverified", "fail", "warn", "pass"]
_ORDER: dict[str, int] = {"unverified": 0, "fail": 1, "warn": 2, "pass": 3}


@dataclass(frozen=True)
class Finding:
    """A check that warned or failed.

    Attributes:
        result: warn or fail.
        fault, title: the fault's name and its title.
        check, check_title: the check's name and its title.
        message: what was found, as the check said it, in English.
        advice: what to do; `advice_tag` is its language.
    """

    result: str
    fault: str
    title: str
    check: str
    check_title: str
    message: str
    advice: str
    advice_tag: str


@dataclass(frozen=True)
class Check:
    """A check: its result, the result in words, its title and name, and what was found, in English."""

    result: str
    word: str
    title: str
    name: str
    message: str


@dataclass(frozen=True)
class Cell:
    """A framework on a host, in the table of all: its result, the result in words, and its speed, "" for none."""

    result: str
    word: str
    speed: str
    share: str


@dataclass
class HostView:
    """A host on the page.

    Attributes:
        anchor, title: of its section.
        name, address, profile, level: as the result has them.
        against: the profile, in words where there is none.
        state: its worst finding; unverified where nothing is said of it.
        verdict: in words.
        chip: what computes.
        when: the start of the check, for people; `started` for programs.
        took: seconds.
        findings: the worst first.
        cells: by framework.
        measures: charts and tables.
        facts: the machine and its state, label and value.
        checks: all of them.
    """

    anchor: str
    title: str
    name: str
    address: str
    profile: str
    against: str
    level: str
    state: State
    verdict: str
    chip: str
    when: str
    started: str
    took: str
    findings: list[Finding]
    cells: dict[str, Cell]
    measures: Measures
    facts: list[tuple[str, str]]
    checks: list[Check]


def title(host: str, profile: str, *, alone: bool) -> str:
    """What to call a result: its machine, and its profile where there are others of the same machine."""
    return host if alone else f"{host} ({profile})"


def host(stored: Stored, language: Language, called: str) -> HostView:
    """What the page shows of a result that is called so."""
    data = stored.data
    results = {one["result"] for one in data["checks"]}
    state: State = "fail" if "fail" in results else "warn" if "warn" in results else "pass"
    if data["verdict"] == "unverified":
        state = "unverified"
    return HostView(
        anchor="",
        title=called,
        name=data["host"],
        address=data["address"],
        profile=data["profile"],
        against=labels.against(data["profile"], language),
        level=data["level"],
        state=state,
        verdict=_verdict(state, language),
        chip=_chip(data, language),
        when=f"{language.time(documents.time_of(data['started']))} UTC",
        started=data["started"],
        took=language.number(data["seconds"]),
        findings=_findings(data, language),
        cells={name: _cell(one, language) for name, one in data["frameworks"].items()},
        measures=measures(data, language),
        facts=facts(data, language),
        checks=[
            Check(
                one["result"],
                language.lookup(labels.RESULTS[one["result"]]),
                labels.check(one["check"], language),
                one["check"],
                one["message"],
            )
            for one in data["checks"]
        ],
    )


def urgency(one: HostView) -> tuple[int, str]:
    """Sorts hosts: those that need a person first."""
    return _ORDER[one.state], one.title


def worst(states: Iterable[State]) -> State:
    """What counts of several results of one machine."""
    return min(states, key=_ORDER.__getitem__)


def _verdict(state: State, language: Language) -> str:
    if state == "warn":
        return language.gettext("healthy, with warnings")
    return language.lookup(labels.VERDICTS[{"fail": "unhealthy", "pass": "healthy"}.get(state, state)])


def _chip(data: dict[str, Any], language: Language) -> str:
    chip, machine = data["chip"], data["machine"]
    if machine.get("virtual"):
        return language.gettext("virtual Mac, %(cpu)s", cpu=machine["cpu"])
    if chip:
        if chip["gpu_cores"] is None:
            return str(chip["name"])
        cores = language.gettext("%(count)s GPU cores", count=chip["gpu_cores"])
        return f"{chip['name']}, {cores}"
    return str(machine.get("cpu", ""))


def _findings(data: dict[str, Any], language: Language) -> list[Finding]:
    bad = [one for one in data["checks"] if one["result"] in ("fail", "warn")]
    bad.sort(key=lambda one: _ORDER[one["result"]])
    return [
        Finding(
            result=one["result"],
            fault=one["fault"],
            title=language.lookup(labels.FAULTS.get(one["fault"], one["fault"])),
            check=one["check"],
            check_title=labels.check(one["check"], language),
            message=one["message"],
            advice=addressed(language.lookup(current(one["fault"], one["advice"])), data["profile"]),
            advice_tag=language.tag if one["fault"] in ADVICE else "en",
        )
        for one in bad
    ]


def _cell(framework: dict[str, Any], language: Language) -> Cell:
    word = language.lookup(labels.RESULTS[framework["result"]])
    if not framework["required"] and framework["result"] != "skip":
        word = language.gettext("%(result)s (optional)", result=word)
    single = next((one for one in largest(framework) if one["dtype"] == "float32"), None)
    if single is None:
        return Cell(framework["result"], word, "", "")
    share = language.percent(single["share"]) if single["share"] is not None else ""
    return Cell(framework["result"], word, f"{language.number(single['tflops'])} TFLOPS", share)
