"""What the page shows of drift, made ready for the template."""

from dataclasses import dataclass
from typing import Any

from .. import documents
from ..results.drift import Known
from .language import Language
from .view import State, title


@dataclass(frozen=True)
class Drifted:
    """A machine that was looked at.

    Attributes:
        host, profile: what was looked at; no profile where the machine could not be asked.
        title: what to call it.
        state: fail where it could not be looked at to the end, warn where something would change.
        word: what is to be said of it, in words.
        when: the time of the look, for people; `looked` for programs.
        problem: why it could not be looked at, in English.
        changes: task, and the difference's lines as one text.
    """

    host: str
    profile: str
    title: str
    state: State
    word: str
    when: str
    looked: str
    problem: str
    changes: list[tuple[str, str]]


def drifted(known: Known, language: Language) -> list[Drifted]:
    """The machines, those first that could not be looked at, then those that have drifted.

    Args:
        known: after drift.schema.json.
        language: to write in.
    """
    made = [
        _one(host, profile, title(host, profile, alone=len(profiles) == 1), entry, language)
        for host, profiles in known.items()
        for profile, entry in profiles.items()
    ]
    return sorted(made, key=lambda one: (("fail", "warn", "pass").index(one.state), one.title))


def _one(host: str, profile: str, name: str, entry: dict[str, Any], language: Language) -> Drifted:
    count = len(entry["changes"])
    state: State = "fail" if entry["problem"] else "warn" if count else "pass"
    words = {
        "fail": language.gettext("not looked at to the end"),
        "warn": language.ngettext("%(n)s task would change it", "%(n)s tasks would change it", count),
        "pass": language.gettext("as it should be"),
    }
    return Drifted(
        host=host,
        profile=profile,
        title=name,
        state=state,
        word=words[state],
        when=f"{language.time(documents.time_of(entry['time']))} UTC",
        looked=entry["time"],
        problem=entry["problem"],
        changes=[
            (one["task"], "\n".join([*one["diff"], *(["..."] if one["cut"] else [])])) for one in entry["changes"]
        ],
    )
