"""Results to test with: one measured on a real machine, and variations of it."""

import copy
import functools
import json
from pathlib import Path
from typing import Any

from benchmarks import varied
from verify.results import file_name
from verify.stored import Stored, load

MEASURED = Path(__file__).resolve().parent / "measured.json"


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
    return [folder / file_name(one["host"]) for one in results]


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
