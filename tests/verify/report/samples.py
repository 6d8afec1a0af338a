"""Results to test with: one measured on a real machine, and variations of it."""

import copy
import functools
import json
from pathlib import Path
from typing import Any

from benchmarks import varied
from benchmarks.varied import HOSTILE
from verify.results.drift import Known
from verify.results.files import Stored, file_name, load

MEASURED = Path(__file__).resolve().parent / "measured.json"
TIME = "2026-11-21T02:00:00Z"
CHANGES = [
    {"task": "mlx : MLX is as locked", "diff": ["@ packages", "-mlx==0.1", HOSTILE, "\x1b[31m"], "cut": True},
    {"task": HOSTILE, "diff": [], "cut": False},
]
DRIFT: Known = {
    "lab-01": {"ml-m1": {"time": TIME, "changes": [], "problem": ""}},
    "lab-03": {"ml-m1": {"time": TIME, "changes": CHANGES, "problem": ""}},
    HOSTILE: {"": {"time": TIME, "changes": CHANGES[:1], "problem": f"no route to {HOSTILE}"}},
}
"""A check of three machines: as it should be, drifted, and hostile and out of reach."""


@functools.cache
def _text() -> str:
    return MEASURED.read_text(encoding="utf-8")


def measured(**changes: Any) -> dict[str, Any]:
    """The measured result, with other values at its top level."""
    data: dict[str, Any] = json.loads(_text())
    return {**data, **changes}


def stored(folder: Path, data: dict[str, Any]) -> Stored:
    """A result as it is read from a file."""
    (path,) = write(folder, [data])
    return load(path)


def write(folder: Path, results: list[dict[str, Any]]) -> list[Path]:
    """Write results into a folder, which is made; returns their files."""
    folder.mkdir(parents=True, exist_ok=True)
    varied.write(results, folder)
    return [folder / file_name(one["host"], one["profile"]) for one in results]


def made_fleet(count: int) -> list[dict[str, Any]]:
    """A fleet that has everything a page can have; the first host is hostile."""
    return varied.make(measured(), count)


def slower(data: dict[str, Any], framework: str, factor: float) -> dict[str, Any]:
    """A result in which a framework's products are slower by a factor."""
    made = copy.deepcopy(data)
    for product in made["frameworks"][framework]["matmul"]:
        for key in ("tflops", "tflops_low", "tflops_high"):
            product[key] /= factor
    return made
