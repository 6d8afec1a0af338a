"""The one place through which a machine's answers come in: held against answers.schema.json, or malformed.

What does not fit is told as a malformed answer of that machine, or of that stage of its probe; nothing of it is kept.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from .. import documents
from ..documents import MalformedError

SCHEMA = Path(__file__).resolve().parent / "answers.schema.json"

Event = Literal["start", "end", "error", "malformed"]
Ended = Literal["exit", "signal", "timeout", "no-answer", "malformed", "lost", "unreachable"]


@dataclass(frozen=True)
class Report:
    """The last that a probe said of one of its stages.

    Attributes:
        event: it began (and no more is known), ended, failed with an exception, or was told in a way that makes no
            sense.
        seconds: how long it took, where it ended.
        data: what it found, where it ended; after answers.schema.json.
        error: the exception, or what makes no sense.
    """

    event: Event
    seconds: float = 0.0
    data: dict[str, Any] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class Outcome:
    """How a probe ended, and what it reported until then.

    Attributes:
        reports: by stage, in their order.
        ended: by itself ("exit"), by a signal, by the time limit, without an answer, with one that cannot be understood
            ("malformed"), with the connection ("lost"), or before there was one ("unreachable").
        status: exit code or the signal's number.
        signal: the signal's name, or "".
        evidence: the end of what it wrote to stdout and stderr, or why there is no answer.
        seconds: how long it took on the machine.
    """

    reports: Mapping[str, Report]
    ended: Ended
    status: int = 0
    signal: str = ""
    evidence: str = ""
    seconds: float = 0.0

    def data(self, stage: str) -> dict[str, Any] | None:
        """What a stage found; None where it did not come to its end."""
        report = self.reports.get(stage)
        return report.data if report is not None and report.event == "end" else None


def of_supervisor(probe: str, line: str) -> Outcome:
    """The outcome that the supervisor's line tells.

    Args:
        probe: as the schema names it.
        line: JSON.

    Raises:
        MalformedError: the line, or a record in it, is not what it may be; data of a stage alone that is not is noted
            in that stage's report.
    """
    said = documents.check(documents.parse(line), SCHEMA, "outcome")
    found = reports(probe, (documents.parse(one) for one in said["records"]))
    return Outcome(found, said["ended"], said["status"], said["signal"], said["evidence"], float(said["seconds"]))


def of_stage(probe: str, stage: str, data: Any) -> Outcome:
    """The outcome of a probe with a single stage, from its data.

    Raises:
        MalformedError: the data is not what it may be.
    """
    checked = documents.check(documents.clean(data), SCHEMA, f"{probe}.{stage}")
    return Outcome({stage: Report("end", data=checked)}, "exit")


def reports(probe: str, records: Iterable[Any]) -> dict[str, Report]:
    """What the records of a probe say of its stages.

    Raises:
        MalformedError: one of them is no record.
    """
    found: dict[str, Report] = {}
    for record in records:
        documents.check(record, SCHEMA, "report")
        stage, event = record["stage"], record["event"]
        if not documents.defines(SCHEMA, f"{probe}.{stage}"):
            raise MalformedError(f"there is no stage {stage!r}")
        before = found[stage].event if stage in found else ""
        if before != ("" if event == "start" else "start"):
            raise MalformedError(f"{event} of the stage {stage!r} is reported after {before or 'nothing'}")
        found[stage] = _report(f"{probe}.{stage}", record)
    return found


def _report(definition: str, record: dict[str, Any]) -> Report:
    if record["event"] != "end":
        return Report(record["event"], error=record.get("error", ""))
    try:
        data = documents.check(record["data"], SCHEMA, definition)
    except MalformedError as error:
        return Report("malformed", error=str(error))
    return Report("end", float(record["seconds"]), data)
