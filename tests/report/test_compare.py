"""Comparison: a regression beyond the noise is named, what cannot be compared is said, and nothing else is told."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import varied
from tests.report.samples import measured, slower, stored, write
from verify import __main__ as verify
from verify.results import comparison, history
from verify.results.comparison import Comparison, Figure, Measured, compare

DEVICE = "cpu"


def compared(folder: Path, old: dict[str, Any], new: dict[str, Any]) -> Comparison:
    return compare(stored(folder / "old", old), stored(folder / "new", new))


def test_the_same_is_no_regression(tmp_path: Path) -> None:
    found = compared(tmp_path, measured(), measured())
    assert not found.regressed
    assert found.obstacle is None
    assert found.left_out == []
    assert found.compared > len(measured()["checks"]) / 2


def test_a_slower_framework_is_named_and_no_other(tmp_path: Path) -> None:
    found = compared(tmp_path, measured(), slower(measured(), "mlx", 2))
    assert {one.measured.framework for one in found.slower} == {"mlx"}
    assert len(found.slower) == len(measured()["frameworks"]["mlx"]["matmul"])
    assert all(one.change == pytest.approx(-0.5) for one in found.slower)
    assert not compared(tmp_path, slower(measured(), "mlx", 2), measured()).regressed


@pytest.mark.parametrize(
    ("new", "regressed"),
    [
        (Figure(90, 89, 91, "TFLOPS"), True),
        (Figure(90, 85, 97.9, "TFLOPS"), True),
        (Figure(90, 85, 98.1, "TFLOPS"), False),  # the spreads touch
        (Figure(96, 95.5, 96.5, "TFLOPS"), False),  # less than two runs differ by
        (Figure(120, 119, 121, "TFLOPS"), False),
    ],
)
def test_beyond_the_noise_means_apart_and_by_a_margin(new: Figure, regressed: bool) -> None:
    measured_ = Measured("mlx", DEVICE, "matmul", "float32", 512)
    found = Comparison("mac-1")
    comparison.judge_figures(found, {measured_: Figure(100, 98, 102, "TFLOPS")}, {measured_: new})
    assert found.regressed is regressed


def test_other_sizes_kinds_and_devices_are_left_out_and_said(tmp_path: Path) -> None:
    new = slower(measured(), "mlx", 2)
    for product in new["frameworks"]["mlx"]["matmul"]:
        product["n"] += 1
    new["frameworks"]["pytorch"]["device"] = "mps"
    found = compared(tmp_path, measured(), new)
    assert not found.slower
    assert {one.framework for one in found.left_out} == {"mlx", "pytorch"}


def test_a_check_that_fails_now_is_a_regression_and_one_that_was_skipped_is_not(tmp_path: Path) -> None:
    new = measured()
    for check in new["checks"]:
        if check["check"] == "mlx.value":
            check.update(result="fail", fault="wrong-value", advice="Do not trust it.", message="wrong")
        if check["check"] == "jax.value":
            check.update(result="skip", message="not reached")
    new["verdict"] = "unhealthy"
    new["frameworks"]["mlx"]["result"] = "fail"
    found = compared(tmp_path, measured(), new)
    assert [(one.check, one.fault) for one in found.worse] == [("mlx.value", "wrong-value")]
    assert not compared(tmp_path, new, measured()).worse


@pytest.mark.parametrize("chip", [None, {"name": "Apple M9", "gpu_cores": 8}])
def test_another_or_an_unknown_chip_is_not_compared(tmp_path: Path, chip: dict[str, Any] | None) -> None:
    full = {"known": False, "fp32_tflops": None, "fp16_tflops": None, "bandwidth_gb_s": None}
    new = slower(measured(host="mac-2", chip=chip and {**chip, **full}), "mlx", 2)
    if chip is None:
        new["machine"] = {}
    found = compared(tmp_path, measured(host="mac-1"), new)
    assert found.obstacle is not None
    assert found.obstacle.kind == ("other-chip" if chip else "chip-unknown")
    assert not found.regressed


def test_a_machine_that_no_longer_answers_is_a_regression(tmp_path: Path) -> None:
    (gone,) = varied.make(measured(), 3)[2:]
    found = compared(tmp_path, measured(host=gone["host"]), gone)
    assert "environment.reachable" in [one.check for one in found.worse]


def of_one_chip(count: int) -> list[dict[str, Any]]:
    return [measured(host=f"mac-{number}") for number in range(count)]


def against(folder: Path, results: list[dict[str, Any]]) -> dict[str, Comparison]:
    loaded = [stored(folder, one) for one in results]
    return {one.data["host"]: comparison.against_fleet(one, loaded) for one in loaded}


def test_a_machine_slower_than_its_fleet_is_named(tmp_path: Path) -> None:
    results = of_one_chip(6)
    results[2] = slower(results[2], "pytorch", 1.5)
    found = against(tmp_path, results)
    assert [host for host, one in found.items() if one.regressed] == ["mac-2"]
    assert {one.measured.framework for one in found["mac-2"].slower} == {"pytorch"}


def test_the_slowest_of_a_fleet_that_varies_is_no_regression(tmp_path: Path) -> None:
    results = [slower(one, "mlx", 1 + 0.04 * number) for number, one in enumerate(of_one_chip(6))]
    assert not [host for host, one in against(tmp_path, results).items() if one.regressed]


def test_a_small_fleet_and_other_chips_are_not_compared(tmp_path: Path) -> None:
    found = against(tmp_path, of_one_chip(comparison.MIN_FLEET))
    assert {one.obstacle.kind for one in found.values() if one.obstacle} == {"small-fleet"}
    made = varied.make(measured(), 12)
    kinds = [one.obstacle and one.obstacle.kind for one in against(tmp_path, made).values()]
    assert kinds[2] == "chip-unknown"
    assert "small-fleet" in kinds


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    code = verify.main(["compare", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out + err


def test_files_and_folders_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (old,) = write(tmp_path / "old", [measured(host="mac-1")])
    write(tmp_path / "new", [slower(measured(host="mac-1"), "mlx", 2), measured(host="mac-2")])
    code, text = said(capsys, old, tmp_path / "new" / "mac-1.json")
    assert code == 1
    assert "MLX fp32" in text
    assert "-50%" in text
    code, text = said(capsys, tmp_path / "old", tmp_path / "new")
    assert code == 1
    assert "mac-2: not compared: it is among the new results only" in text
    code, text = said(capsys, old, old, "--lang", "pt")
    assert code == 0
    assert "nenhuma regressão" in text


def test_what_cannot_be_compared_is_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (old,) = write(tmp_path / "old", [measured(host="mac-1")])
    (other,) = write(tmp_path / "other", [measured(host="mac-2", machine={}, chip=None)])
    assert said(capsys, old, other)[0] == 2
    assert said(capsys, old, tmp_path / "nowhere.json")[0] == 2
    (tmp_path / "empty").mkdir()
    assert said(capsys, old, tmp_path / "empty")[0] == 2
    before = tmp_path / "before.json"
    before.write_text('{"schema": 1}', encoding="utf-8")
    code, text = said(capsys, before, old)
    assert code == 2
    assert "schema 1" in text


def test_without_an_old_one_the_history_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(capsys, *write(tmp_path, [measured(host="mac-1", started="2026-11-21T12:00:00Z")]))
    assert code == 2
    assert "no earlier result" in text
    earlier = history.folder(tmp_path, "mac-1") / f"20261121T110000Z-{measured()['level']}.json"
    earlier.parent.mkdir(parents=True)
    data = slower(measured(host="mac-1", started="2026-11-21T11:00:00Z"), "mlx", 0.5)
    earlier.write_text(json.dumps(data), encoding="utf-8")
    code, text = said(capsys, tmp_path)
    assert code == 1
    assert "2026-11-21T11:00:00Z" in text


def test_the_fleet_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "fleet", of_one_chip(5))
    assert said(capsys, "--fleet", tmp_path / "fleet")[0] == 0
    (new,) = write(tmp_path / "new", [slower(measured(host="mac-0"), "jax", 3)])
    code, text = said(capsys, "--fleet", tmp_path / "fleet", new)
    assert code == 1
    assert "JAX" in text


def test_a_hostile_name_steers_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evil = "mac\x1b[2J"
    (path,) = write(tmp_path, [copy.deepcopy(measured(host=evil))])
    code, text = said(capsys, path, path)
    assert code == 0
    assert "\x1b" not in text
