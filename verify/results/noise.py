"""What a figure differs by from run to run on one unchanged machine, as measured there and kept in its history."""

import dataclasses
import itertools
import json
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .. import documents
from ..documents import MalformedError
from . import files, history

ASSUMED = 0.05
"""The share that is taken where nobody measured it."""
LEAST = 0.01
"""A few runs on a quiet day say nothing of less."""
_SCHEMA = Path(__file__).resolve().parent / "noise.schema.json"
_TWENTIETHS = 20


@dataclass(frozen=True)
class Noise:
    """A measurement of it.

    Attributes:
        host, profile: of the results.
        measured: when, as results have their times.
        runs: how many.
        share: that all but a twentieth of the pairs of figures differ by at most, of the larger one.
    """

    host: str
    profile: str
    measured: str
    runs: int
    share: float


def spread(runs: Iterable[dict[str, float]]) -> float:
    """The share that figures differ by between two runs, in all but a twentieth of the pairs.

    Args:
        runs: figures by what they are of; what not all have is left out.

    Raises:
        ValueError: there are not two runs with a figure in common.
    """
    group = list(runs)
    common = set.intersection(*(set(one) for one in group)) if group else set()
    apart = [
        abs(one[what] - other[what]) / max(one[what], other[what])
        for one, other in itertools.combinations(group, 2)
        for what in common
    ]
    if not apart:
        raise ValueError("there are not two runs with a figure in common")
    largest = apart[0] if len(apart) == 1 else statistics.quantiles(apart, n=_TWENTIETHS, method="inclusive")[-1]
    return max(LEAST, largest)


def keep(noise: Noise, results: Path) -> Path:
    """Keep a measurement in place of an older one; returns its file.

    Args:
        noise: the measurement.
        results: the folder for results.

    Raises:
        OSError: it cannot be written.
    """
    path = _path(results, noise.host, noise.profile)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.replace(path, (json.dumps({"schema": 1, **dataclasses.asdict(noise)}, indent=2) + "\n").encode())
    return path


def of(results: Path, host: str, profile: str) -> Noise | None:
    """What was measured on a machine; None where nothing was, or where it cannot be understood."""
    try:
        data = documents.check(documents.parse(documents.read_text(_path(results, host, profile))), _SCHEMA)
    except MalformedError:
        return None
    del data["schema"]
    found = Noise(**data)
    return found if (found.host, found.profile) == (host, profile) else None


def _path(results: Path, host: str, profile: str) -> Path:
    return history.folder(results, host) / f"noise.{files.safe(profile, '_-')}.json"
