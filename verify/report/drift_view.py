"""What the page shows of drift, made ready for the template."""

from dataclasses import dataclass
from typing import Any

from .. import documents
from .language import Language
from .view import State


@dataclass(frozen=True)
class Drifted:
    """A machine that was looked at.

    Attributes:
        name: as the inventory has it.
        state: fail where it could not be looked at to the end, warn where something would change.
        word: what is to be said of it, in words.
        when: the time of the look, for people; `looked` for programs.
        problem: why it could not be looked at, in English.
        changes: task, and the difference's lines as one text.
    """

    name: str
    state: State
    word: str
    when: str
    looked: str
    problem: str
    changes: list[tuple[str, str]]


def drifted(known: dict[str, dict[str, Any]], language: Language) -> list[Drifted]:
    """The machines, those first that could not be looked at, then those that have drifted.

    Args:
        known: by name, after drift.schema.json.
        language: to write in.
    """
    made = [_one(name, entry, language) for name, entry in known.items()]
    return sorted(made, key=lambda one: (("fail", "warn", "pass").index(one.state), one.name))


def _one(name: str, entry: dict[str, Any], language: Language) -> Drifted:
    count = len(entry["changes"])
    state: State = "fail" if entry["problem"] else "warn" if count else "pass"
    words = {
        "fail": language.gettext("not looked at to the end"),
        "warn": language.ngettext("%(n)s task would change it", "%(n)s tasks would change it", count),
        "pass": language.gettext("as it should be"),
    }
    return Drifted(
        name=name,
        state=state,
        word=words[state],
        when=f"{language.time(documents.time_of(entry['time']))} UTC",
        looked=entry["time"],
        problem=entry["problem"],
        changes=[
            (one["task"], "\n".join([*one["diff"], *(["..."] if one["cut"] else [])])) for one in entry["changes"]
        ],
    )
