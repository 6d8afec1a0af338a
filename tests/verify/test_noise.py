"""What runs on an unchanged machine differ by: measured, kept with its history, gone by where results are compared."""

import json
from pathlib import Path

import pytest

from tests.verify.report.samples import measured, slower, write
from verify.results import files, noise
from verify.results.comparison import compare
from verify.results.files import load
from verify.results.noise import ASSUMED, Noise


def measurement(share: float, host: str = "mac-1", profile: str = "ml-m1") -> Noise:
    return Noise(host, profile, "2026-11-21T11:00:00Z", 5, share)


def test_what_all_but_a_twentieth_of_the_pairs_differ_by() -> None:
    # 21 figures, each of the second run lower by another percent: 0 to 20.
    first = {str(number): 100.0 for number in range(21)}
    second = {str(number): 100.0 - number for number in range(21)}
    assert noise.spread([first, second]) == pytest.approx(0.19)
    # Whichever comes first; what only one has is left out.
    assert noise.spread([second, {**first, "other": 1.0}]) == pytest.approx(0.19)
    assert noise.spread([{"one": 100.0}, {"one": 80.0}]) == pytest.approx(0.2)
    assert noise.spread([{"one": 100.0}] * 3) == noise.LEAST
    for nothing in ([], [{"one": 1.0}], [{"one": 1.0}, {"other": 1.0}]):
        with pytest.raises(ValueError, match="not two runs"):
            noise.spread(nothing)


def test_what_was_measured_is_kept_of_each_machine_and_profile(tmp_path: Path) -> None:
    assert noise.of(tmp_path, "mac-1", "ml-m1") is None
    noise.keep(measurement(0.1), tmp_path)
    path = noise.keep(measurement(0.2), tmp_path)
    noise.keep(measurement(0.3, profile="current"), tmp_path)
    assert noise.of(tmp_path, "mac-1", "ml-m1") == measurement(0.2)
    assert noise.of(tmp_path, "mac-1", "current") == measurement(0.3, profile="current")
    assert noise.of(tmp_path, "mac-2", "ml-m1") is None
    good = json.loads(path.read_text(encoding="utf-8"))
    for wrong in ("", "{", json.dumps({**good, "share": 2}), json.dumps({**good, "host": "mac-2"})):
        path.write_text(wrong, encoding="utf-8")
        assert noise.of(tmp_path, "mac-1", "ml-m1") is None


@pytest.mark.parametrize(("share", "found"), [(None, True), (0.09, True), (0.12, False)])
def test_a_comparison_goes_by_what_was_measured_on_the_newer_ones_machine(
    tmp_path: Path, share: float | None, found: bool
) -> None:
    # A tenth slower, with spreads that do not touch.
    data = measured()
    for product in data["frameworks"]["mlx"]["matmul"]:
        product["tflops_low"] = product["tflops_high"] = product["tflops"]
    (old,), (new,) = write(tmp_path / "old", [data]), write(tmp_path / "new", [slower(data, "mlx", 1 / 0.9)])
    if share is not None:
        noise.keep(measurement(share, data["host"]), tmp_path / "new")
        # Of another machine's folder.
        noise.keep(measurement(0.5, data["host"]), tmp_path / "old")
    made = compare(load(old), load(new))
    assert made.margin == (ASSUMED if share is None else share)
    assert bool(made.slower) is found


def test_an_earlier_result_lies_in_the_history_of_the_same_folder() -> None:
    for path in ("results/mac-1.ml-m1.json", "results/history/mac-1/20261121T110000Z-full.ml-m1.json"):
        assert files.results_of(Path(path)) == Path("results")
