"""Comparison: a regression beyond the noise is named, what cannot be compared is said, and nothing else is told."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import varied
from tests.verify.report.samples import measured, slower, stored, write
from verify import __main__ as verify
from verify.report import compare as command
from verify.report import labels, language
from verify.results import comparison, history, noise
from verify.results.comparison import Comparison, Figure, Measured, compare
from verify.results.files import Stored
from verify.results.noise import Noise

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
    found = Comparison("mac-1", "ml-m1")
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
    code, text = said(capsys, old, tmp_path / "new" / "mac-1.ml-m1.json")
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


def figure(value: float, low: float, high: float, *, dtype: str = "float32", n: int = 512) -> dict[str, Any]:
    return {"dtype": dtype, "n": n, "tflops": value, "tflops_low": low, "tflops_high": high}


def framework(**parts: Any) -> dict[str, Any]:
    return {"device": "gpu", "matmul": [], "bandwidth": None, "sustained": None, **parts}


def result(host: str = "mac-1", **changes: Any) -> Stored:
    """A result of which only what is compared exists."""
    data: dict[str, Any] = {"host": host, "profile": "ml-m1", "started": "2026-11-21T11:00:00Z", "level": "full"}
    data |= {"machine": {"cpu": "Apple M1", "cores": 8}, "chip": None, "checks": [], "frameworks": {}}
    return Stored(Path(f"{host}.json"), {**data, **changes})


def test_all_figures_of_a_result() -> None:
    one = framework(
        matmul=[figure(2, 1, 3), figure(5, 4, 6, dtype="float16", n=1024)],
        bandwidth={"gb_s": 60, "gb_s_low": 50, "gb_s_high": 70, "bytes": 1000},
        sustained={"tflops": [1.0, 2.0, 4.0, 8.0], "dtype": "float16", "n": 4096},
    )
    assert comparison.figures(result(frameworks={"mlx": one, "jax": framework()}).data) == {
        Measured("mlx", "gpu", "matmul", "float32", 512): Figure(2, 1, 3, "TFLOPS"),
        Measured("mlx", "gpu", "matmul", "float16", 1024): Figure(5, 4, 6, "TFLOPS"),
        Measured("mlx", "gpu", "bandwidth", "", 1000): Figure(60, 50, 70, "GB/s"),
        Measured("mlx", "gpu", "sustained", "float16", 4096): Figure(3.0, 1.75, 5.0, "TFLOPS"),
    }


@pytest.mark.parametrize(
    ("new", "regressed"),
    [
        (Figure(94.9, 90, 97.9, "TFLOPS"), True),
        (Figure(95, 90, 97.9, "TFLOPS"), False),
        (Figure(90, 85, 98, "TFLOPS"), False),
        (Figure(90, 85, 97.9, "TFLOPS"), True),
    ],
)
def test_the_edges_of_the_noise(new: Figure, regressed: bool) -> None:
    first, second = (Measured("mlx", DEVICE, "matmul", "float32", n) for n in (1, 2))
    found = Comparison("mac-1", "ml-m1")
    old = Figure(100, 98, 102, "TFLOPS")
    comparison.judge_figures(found, {first: old, second: old}, {first: new, Measured("mlx", "x", "x", "", 0): old})
    assert found.regressed is regressed
    assert found.compared == 1
    assert found.left_out == [second, Measured("mlx", "x", "x", "", 0)]


@pytest.mark.parametrize(
    ("old", "new", "worse", "counted"),
    [
        ("pass", "pass", False, 1),
        ("pass", "warn", True, 1),
        ("pass", "fail", True, 1),
        ("warn", "fail", True, 1),
        ("warn", "warn", False, 1),
        ("warn", "pass", False, 1),
        ("fail", "warn", False, 1),
        ("fail", "fail", False, 1),
        ("skip", "fail", False, 0),
        ("fail", "skip", False, 0),
        (None, "fail", False, 0),
    ],
)
def test_checks_before_and_now(old: str | None, new: str, worse: bool, counted: int) -> None:
    def checks(name: str, outcome: str | None) -> list[dict[str, Any]]:
        return [{"check": name, "result": outcome, "fault": f"fault of {outcome}"}] if outcome else []

    always = checks("always", "pass")
    found = compare(result(checks=[*checks("a", old), *always]), result(checks=[*checks("a", new), *always]))
    assert found.worse == ([comparison.Worse("a", f"fault of {new}", str(old), new)] if worse else [])
    assert (found.compared, found.regressed, found.obstacle) == (counted + 1, worse, None)
    alone = compare(result(checks=checks("a", old)), result(checks=checks("a", new)))
    assert alone.obstacle == (None if counted else comparison.Obstacle("nothing-common"))


APPLE = {"name": "Apple M1", "gpu_cores": 8}


@pytest.mark.parametrize(
    ("old", "new", "obstacle"),
    [
        ({}, {}, None),
        ({"chip": APPLE}, {"chip": APPLE}, None),
        ({"chip": APPLE}, {}, None),  # a name and cores of which two results say the same in two ways
        (
            {"chip": APPLE},
            {"chip": {**APPLE, "gpu_cores": 7}},
            ("other-chip", {"old": "Apple M1 (8)", "new": "Apple M1 (7)"}),
        ),
        (
            {"chip": {**APPLE, "gpu_cores": None}},
            {"chip": {"name": "Apple M2", "gpu_cores": None}},
            ("other-chip", {"old": "Apple M1", "new": "Apple M2"}),
        ),
        ({}, {"profile": "current"}, ("other-profile", {"old": "ml-m1", "new": "current"})),
        ({"machine": {}}, {}, None),  # of the same host
        ({}, {"machine": {"cpu": ""}}, None),
        ({"machine": {}, "host": "other"}, {}, ("chip-unknown", {})),
        ({}, {"machine": {"cpu": ""}, "host": "other"}, ("chip-unknown", {})),
    ],
)
def test_only_machines_with_one_chip_are_compared(
    old: dict[str, Any], new: dict[str, Any], obstacle: tuple[str, dict[str, object]] | None
) -> None:
    check: dict[str, Any] = {"checks": [{"check": "a", "result": "pass", "fault": ""}]}
    found = compare(result(**check, **old), result(**check, **new))
    assert found.obstacle == (comparison.Obstacle(*obstacle) if obstacle else None)
    assert (found.against, found.since) == (old.get("host", "mac-1"), "2026-11-21T11:00:00Z")
    assert found.compared == (0 if obstacle else 1)


def test_how_a_fleet_is_judged() -> None:
    """By three others at least, with its chip and what they measured; by what a machine of them would hardly be."""
    one = result("mac-0", frameworks={"mlx": framework(matmul=[figure(60, 55, 69.9)])})
    others = [result(f"mac-{n}", frameworks={"mlx": framework(matmul=[figure(n, 0, 0)])}) for n in (90, 100, 110)]
    odd = result("odd", machine={"cpu": "other", "cores": 8})
    elsewhere = result("elsewhere", profile="current", frameworks=others[0].data["frameworks"])
    found = comparison.against_fleet(one, [one, odd, elsewhere, *others[:2]])
    values = {"count": 2, "chip": "Apple M1 (8)", "profile": "ml-m1", "needed": 3}
    assert (found.obstacle, found.against) == (comparison.Obstacle("small-fleet", values), "2 x Apple M1 (8)")
    assert comparison.against_fleet(result(machine={}), others).obstacle == comparison.Obstacle("chip-unknown")

    found = comparison.against_fleet(one, [one, odd, *others])
    assert (found.against, found.since, found.compared, found.obstacle) == ("3 x Apple M1 (8)", "", 1, None)
    (slow,) = found.slower  # quartiles 95 and 105, fences 80 and 120
    assert slow.old == Figure(100, 80, 120, "TFLOPS")
    assert slow.change == pytest.approx(-0.4)

    new = result("mac-0", frameworks={"mlx": framework(matmul=[figure(60, 55, 80)])})
    assert not comparison.against_fleet(new, others).regressed

    wide = [result(f"mac-{n}", frameworks={"mlx": framework(matmul=[figure(n, 0, 0)])}) for n in (1, 2, 100, 200)]
    assert not comparison.against_fleet(one, wide).regressed  # its lower fence is below zero

    unlike = [*others[:2], result("mac-9", frameworks={"mlx": framework(matmul=[figure(100, 0, 0, n=513)])})]
    found = comparison.against_fleet(one, unlike)
    assert found.obstacle == comparison.Obstacle("fleet-unmeasured", {"needed": 3})


def test_which_results_belong_together() -> None:
    a, b, c = result("a"), result("b"), result("c")
    again = result("b", level="quick")
    assert list(comparison.pairs([a], [b])) == [(a, b)]
    assert list(comparison.pairs([a, b], [again, c])) == [(b, again)]
    assert list(comparison.pairs([a], [b, c])) == []
    assert list(comparison.pairs([a, b], [again])) == [(b, again)]
    other = result("b", profile="current")
    assert list(comparison.pairs([a, other], [b, c])) == []
    assert list(comparison.pairs([b, other], [other, again])) == [(other, other), (b, again)]


BANDWIDTH = {"bytes": 1000, "samples_s": [0.1], "median_s": 0.1, "share": None, "yardstick_gb_s": None}
SUSTAINED = {"dtype": "float16", "n": 4096, "window_s": 2.0, "ratio": 1.0}


def timed(host: str, tflops: float, **changes: Any) -> dict[str, Any]:
    """A measured result with one product, of this speed, in each framework."""
    data = measured(host=host, **changes)
    for one in data["frameworks"].values():
        one.update(bandwidth=None, sustained=None)
        one["matmul"] = one["matmul"][:1]
        one["matmul"][0].update(
            dtype="float32", n=512, tflops=tflops, tflops_low=tflops - 0.5, tflops_high=tflops + 0.5
        )
    return data


def test_what_is_told_word_by_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = timed("mac-1", 20), timed("mac-1", 20)
    for data, lasting, bandwidth in ((old, 8.0, 60.0), (new, 4.0, 30.0)):
        mlx = data["frameworks"]["mlx"]
        mlx["matmul"][0]["tflops"] = mlx["matmul"][0]["tflops_low"] = mlx["matmul"][0]["tflops_high"] = lasting
        mlx["sustained"] = {**SUSTAINED, "tflops": [lasting] * 4}
        mlx["bandwidth"] = {**BANDWIDTH, "gb_s": bandwidth, "gb_s_low": bandwidth, "gb_s_high": bandwidth}
    new["frameworks"]["jax"]["matmul"][0]["n"] = 1024
    for check in new["checks"]:
        if check["check"] == "mlx.value":
            check.update(result="fail", fault="wrong-value", advice="Do not trust it.", message="wrong")
    new["verdict"] = "unhealthy"
    new["frameworks"]["mlx"]["result"] = "fail"
    write(tmp_path / "old", [old, timed("gone", 20)])
    write(tmp_path / "new", [new, timed("new", 20)])
    code, text = said(capsys, tmp_path / "old", tmp_path / "new")
    assert code == 1
    lines = text.splitlines()
    count = lines[0].rpartition("; ")[2]
    assert lines == [
        f"mac-1: 4 regressions (against mac-1, 2026-11-21T07:51:46Z; {count}",
        "  MLX, memory bandwidth: -50%, 30.0 GB/s (30.0 to 30.0) after 60.0 GB/s (60.0 to 60.0)",
        "  MLX fp32, n=512: -50%, 4.00 TFLOPS (4.00 to 4.00) after 8.00 TFLOPS (8.00 to 8.00)",
        "  MLX fp16, n=4096, sustained: -50%, 4.00 TFLOPS (4.00 to 4.00) after 8.00 TFLOPS (8.00 to 8.00)",
        f"  {labels.check('mlx.value', language.choose('en'))} (mlx.value): fail [wrong-value], was: pass",
        "  not compared, since only one of both has it: JAX fp32, n=512, JAX fp32, n=1024",
        "gone: not compared: it is among the old results only",
        "new: not compared: it is among the new results only",
    ]
    figures, said_of_noise = count.split(" compared, ")
    assert int(figures) > 4
    assert said_of_noise == "noise taken as 5%, not measured here)"
    noise.keep(Noise("mac-1", "ml-m1", "2026-11-21T11:00:00Z", 5, 0.123), tmp_path / "new")
    assert "noise measured here: 12.3%)" in said(capsys, tmp_path / "old", tmp_path / "new")[1]


def test_what_is_told_without_and_with_one_regression(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (old,) = write(tmp_path / "old", [timed("mac-1", 20)])
    code, text = said(capsys, old, old)
    assert code == 0
    assert text.startswith("mac-1: no regression (against mac-1, 2026-11-21T07:51:46Z; ")
    assert text.count("\n") == 1
    data = timed("mac-1", 20)
    data["frameworks"]["mlx"] = timed("mac-1", 10)["frameworks"]["mlx"]
    code, text = said(capsys, old, *write(tmp_path / "new", [data]))
    assert (code, text.split(" (")[0]) == (1, "mac-1: 1 regression")
    others = [timed(f"mac-{number}", 20) for number in (2, 3, 4)]
    write(tmp_path / "fleet", others)
    code, text = said(capsys, "--fleet", tmp_path / "fleet", old)
    assert code == 0
    assert text.startswith("mac-1: no regression (against 3 x ")
    assert "Z;" not in text


def test_two_profiles_of_one_machine_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = [timed("a", 20), {**timed("a", 20), "profile": "current"}]
    first, second = write(tmp_path / "old", both)
    write(tmp_path / "new", both)
    code, text = said(capsys, tmp_path / "old", tmp_path / "new")
    assert code == 0
    assert [line.split(":")[0] for line in text.splitlines()] == ["a (current)", "a (ml-m1)"]
    code, text = said(capsys, first, second)
    assert (code, text) == (2, "a: not compared: the profiles differ: ml-m1 and current\n")


def test_some_that_cannot_be_compared_are_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "old", [timed("a", 20), timed("b", 20)])
    write(tmp_path / "new", [timed("b", 20), timed("c", 20)])
    (tmp_path / "new" / "broken.json").write_text("{", encoding="utf-8")
    code = verify.main(["compare", str(tmp_path / "old"), str(tmp_path / "new")])
    shown = capsys.readouterr()
    assert code == 0
    assert "broken.json: " in shown.err
    assert "broken.json" not in shown.out


def test_a_single_result_has_its_history_beside_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    started = "2026-11-21T12:00:00Z"
    write(tmp_path, [timed("mac-1", 20, started=started), timed("mac-2", 20, started=started)])
    earlier = history.folder(tmp_path, "mac-1") / "20261121T110000Z-full.json"
    earlier.parent.mkdir(parents=True)
    earlier.write_text(json.dumps(timed("mac-1", 20, started="2026-11-21T11:00:00Z")), encoding="utf-8")
    code, text = said(capsys, tmp_path / "mac-1.ml-m1.json")
    assert (code, text.count("\n")) == (0, 1)
    assert "against mac-1, 2026-11-21T11:00:00Z" in text
    code, text = said(capsys, tmp_path)
    assert code == 0
    why = f"there is no earlier result of the profile ml-m1 and level full in {history.folder(tmp_path, 'mac-2')}"
    assert f"mac-2: not compared: {why}" in text
    earlier.write_text("{", encoding="utf-8")
    code, text = said(capsys, tmp_path)
    assert code == 2
    assert f"mac-1: not compared: {earlier}: " in text


def test_results_without_a_name_are_those_of_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "results", [timed("mac-1", 20)])
    monkeypatch.chdir(tmp_path)
    code, text = said(capsys)
    assert code == 2
    assert "mac-1: not compared: there is no earlier result" in text


def test_a_file_that_is_no_result_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.json").write_text("[]", encoding="utf-8")
    code, text = said(capsys, tmp_path / "notes.json")
    assert code == 2
    assert f"{tmp_path}/notes.json: " in text
    assert "Name a JSON file that `python -m verify` wrote." in text


@pytest.mark.parametrize("arguments", [["a", "b", "c"], ["--fleet", "a", "b", "c"], ["--help"]])
def test_too_many_results_and_help(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    with pytest.raises(SystemExit) as ended:
        verify.main(["compare", *arguments])
    shown = capsys.readouterr()
    assert "usage: python -m verify compare " in shown.out + shown.err
    if arguments == ["--help"]:
        assert ended.value.code == 0
        assert str(command.__doc__).strip() in shown.out
        assert "  python -m verify compare before/ results/               folder with folder" in shown.out
    else:
        assert ended.value.code == 2
        assert "too many results: OLD NEW, or NEW alone" in shown.err
