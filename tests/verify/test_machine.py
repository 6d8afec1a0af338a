"""A machine's state and chip, read from what its tools say: known forms only, and every reason named."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.verify import told
from tests.verify.told import GIB, MACHINE, SAID
from verify.checks import chips, machine
from verify.checks import state as host_state
from verify.checks.environment import EnvironmentJudge
from verify.checks.state import State
from verify.profile import model as profiles
from verify.results.model import CheckResult, HostReport
from verify.target.record import Record


def mac(**said: str) -> dict[str, Any]:
    return {"said": {**SAID, **said}, "files": {}, "load": 1.5, "now": 1763603600.0}


def judged(state: dict[str, Any], report: HostReport, **facts: Any) -> list[CheckResult]:
    """The checks of the machine at the report's level, and what the report then says of it."""
    loaded = profiles.load("ml-m1")
    subject = EnvironmentJudge(loaded, Record("ml-m1", "uv", "/env", (), ""), "darwin-arm64", {}, report)
    python = {"version": f"{loaded.python}.9", "machine": "arm64", "translated": False}
    stages: dict[str, dict[str, Any]] = {
        "python": {**python, "prefix": "/env", "wanted_prefix": "/env"},
        "machine": {**MACHINE, **facts},
        "packages": {"installed": {}, "content": False, "files": {}, "releases": {}, "problems": {}},
        "variables": {"stored": {}},
        "shell": {"shell": "/bin/zsh", "error": "not asked"},
        "state": state,
    }
    answer = told.outcome("environment", told.records(stages))
    found = told.judged("environment", subject, answer, level=report.level, set=[])
    return [one for one in found if one.check.startswith("machine.")]


def empty_report() -> HostReport:
    return HostReport("mac", "mac", "ml-m1", "quick", "2026-11-21T00:00:00Z")


@pytest.mark.parametrize(
    ("registry", "battery_c", "power_w"),
    [
        # In a tree, on an M-series notebook.
        (
            '  |   "PowerTelemetryData" = {"SystemLoad"=8580,"SystemPowerIn"=8580}\n  |   "Temperature" = 3044\n',
            30.44,
            8.58,
        ),
        ('      "PowerTelemetryData" = {"SystemPowerIn"=24611,"BatteryPower"=0}\n', None, None),
        # An Intel one; a desktop, which has none.
        ('      "Temperature" = 3094\n', 30.94, None),
        ("", None, None),
        # No figure of ours.
        ('      "VirtualTemperature" = 3119\n      "BatteryData" = {"Temperature"=31}\n', None, None),
        ('      "Temperature" = 18446744073709551543\n', None, None),
    ],
)
def test_a_notebooks_battery_and_power_are_read(registry: str, battery_c: float | None, power_w: float | None) -> None:
    assert (host_state.battery_c(registry), host_state.power_w(registry)) == (battery_c, power_w)


def test_a_macs_state_is_read() -> None:
    assert host_state.read(mac()) == State(
        power_source="ac",
        low_power_mode=False,
        thermal_pressure="nominal",
        memory_pressure="normal",
        memory_free_percent=78.0,
        swap_used_bytes=int(1024.5 * 2**20),
        load_1m=1.5,
        wired_limit_bytes=0,
        virtual_machine=False,
        uptime_s=3600.0,
        battery_c=29.85,
        power_w=14.96,
    )
    assert (host_state.gpu_cores(mac()), host_state.model(mac())) == (8, "MacBookPro17,1")
    assert host_state.read(mac(power=" powermode            1\n")).low_power_mode is True
    assert host_state.read(mac(power=" powermode            2\n")).low_power_mode is False


def test_what_a_tool_does_not_say_in_the_known_form_is_not_known() -> None:
    assert host_state.read(mac(**dict.fromkeys(SAID, ""))) == State(load_1m=1.5)
    thermal = "com.apple.system.thermalpressurelevel 9\n"
    read = host_state.read(mac(thermal=thermal, pressure="7\n", battery="Now drawing from 'UPS Power'\n"))
    assert (read.thermal_pressure, read.memory_pressure, read.power_source) == (None, None, None)
    for text in ("", "no json", "{}", '{"SPDisplaysDataType": [{}]}'):
        assert host_state.gpu_cores(mac(gpu=text)) is None


def test_linux_state_is_read() -> None:
    meminfo = "MemTotal: 16000000 kB\nMemAvailable: 4000000 kB\nSwapTotal: 2000 kB\nSwapFree: 500 kB\n"
    files = {
        "/proc/meminfo": meminfo,
        "/proc/uptime": "7200.50 14000.00\n",
        "/proc/cpuinfo": "flags\t\t: fpu vme hypervisor lahf_lm\n",
        "/sys/class/power_supply/AC/online": "0\n",
        "/sys/class/dmi/id/product_name": "KVM\n",
    }
    data: dict[str, Any] = {"said": {}, "files": files, "load": 0.3, "now": 1.0}
    assert host_state.model(data) == "KVM"
    assert host_state.read(data) == State(
        power_source="battery",
        memory_free_percent=25.0,
        swap_used_bytes=1500 * 1024,
        load_1m=0.3,
        virtual_machine=True,
        uptime_s=7200.5,
    )
    assert host_state.read({**data, "files": {}}) == State(load_1m=0.3, virtual_machine=False)


@pytest.mark.parametrize(
    ("state", "fault", "reason"),
    [
        (State(low_power_mode=True, power_source="battery"), "low-power", "on battery in low-power mode"),
        (State(low_power_mode=True, power_source="ac"), "low-power", "low-power mode is on"),
        (State(thermal_pressure="heavy"), "hot", "thermal pressure is heavy"),
        (State(memory_pressure="critical"), "short-of-memory", "memory pressure is critical"),
        (State(swap_used_bytes=3 * 10**9), "short-of-memory", "3.0 GB"),
        (State(load_1m=4.1), "busy", "4.1 on 8 cores"),
    ],
)
def test_each_reason_not_to_trust_a_figure_is_a_warning(state: State, fault: str, reason: str) -> None:
    answer = host_state.judge(state, 8, 16 * GIB)
    assert (answer.result, answer.fault) == ("warn", fault)
    assert reason in answer.message
    assert answer.advice


def test_a_calm_machine_passes_and_several_reasons_are_all_told() -> None:
    calm = State(load_1m=3.9, swap_used_bytes=10**9, power_source="battery")
    assert host_state.judge(calm, 8, 16 * GIB).result == "pass"
    message = host_state.judge(State(load_1m=9.0, thermal_pressure="moderate"), 8, 1).message
    assert "moderate" in message
    assert "9.0" in message


def test_the_table_of_chips_agrees_with_what_is_known() -> None:
    table = chips.load()
    assert {name for name, _ in table} >= {f"Apple M{n}{kind}" for n in range(1, 6) for kind in ("", " Pro", " Max")}
    # Peaks that other sources state (cores x 128 x 2 x clock).
    stated = {("Apple M1", 8): 2.62, ("Apple M1 Max", 32): 10.6, ("Apple M2", 10): 3.58, ("Apple M5", 10): 4.04}
    for kind, tflops in stated.items():
        peak = table[kind].fp32_tflops
        assert peak is not None
        assert peak[0] <= tflops * 1.01
        assert peak[1] >= tflops * 0.99
    assert table["Apple M3 Max", 30].bandwidth_gb_s == (300.0, 300.0)
    assert table["Apple M3 Max", 40].bandwidth_gb_s == (400.0, 400.0)
    # Of these no source states the GPU's clock.
    without = {kind: chip.bandwidth_gb_s for kind, chip in table.items() if chip.fp32_tflops is None}
    assert without == {
        ("Apple M5 Ultra", 64): (1200.0, 1200.0),
        ("Apple M5 Ultra", 80): (1200.0, 1200.0),
        ("Apple M6", 12): (153.0, 170.0),
        ("Apple A18 Pro", 5): (60.0, 60.0),
    }


def table(monkeypatch: pytest.MonkeyPatch, folder: Path, *changes: dict[str, Any]) -> dict[Any, chips.Chip]:
    """A table of chips, read from a file of its own."""
    good = {"name": "X", "gpu_cores": [8], "clock_ghz": 1.0, "fp16_factor": 2, "bandwidth_gb_s": 100, "sources": ["a"]}
    data = {"sources": {"a": "", "b": ""}, "measured": [], "chips": [{**good, **one} for one in changes]}
    (folder / "chips.yml").write_text(yaml.safe_dump(data), encoding="utf-8")
    monkeypatch.setattr(chips, "DATA", folder / "chips.yml")
    return chips.load.__wrapped__()


def test_a_chips_figures_follow_from_cores_and_clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    varying = {"name": "Y", "clock_ghz": [1.0, 1.5], "bandwidth_gb_s": [50, 100], "sources": ["a", "b"]}
    clockless = {"name": "W", "clock_ghz": None}
    by_cores = {"name": "Z", "gpu_cores": [8, 10], "bandwidth_gb_s": {8: 50, 10: 60}}
    found = table(monkeypatch, tmp_path, {}, varying, clockless, by_cores)
    assert found["W", 8] == chips.Chip("W", 8, None, None, (100.0, 100.0))
    assert [found["W", 8].peak(dtype) for dtype in ("float32", "float16")] == [None, None]
    # 128 lanes, a multiplication and an addition each.
    assert found["X", 8] == chips.Chip("X", 8, (2.048, 2.048), (2.048, 4.096), (100.0, 100.0))
    assert found["Y", 8] == chips.Chip("Y", 8, (2.048, 3.072), (2.048, 6.144), (50.0, 100.0))
    assert [found["Z", cores].bandwidth_gb_s for cores in (8, 10)] == [(50.0, 50.0), (60.0, 60.0)]
    assert found["Z", 10].fp32_tflops == pytest.approx((2.56, 2.56))


def test_what_was_measured_on_a_chip_is_expected_of_it_in_proportion_to_its_cores() -> None:
    found = chips.load()
    # As their sources have it: chips.yml names them.
    assert found["Apple M1", 8].reached_tflops == pytest.approx((1.4, 1.63 * 8 / 7))
    assert found["Apple M1", 7].reached_tflops == pytest.approx((1.4, 1.63))
    assert found["Apple M1 Pro", 16].reached_tflops == (3.7, 4.28)
    assert found["Apple M1 Pro", 14].reached_tflops == pytest.approx((3.7 * 14 / 16, 4.28 * 14 / 16))
    assert (found["Apple M2", 10].reached_tflops, found["Apple M2", 10].reached_gb_s) == ((2.0, 2.0), (90.0, 90.0))
    assert found["Apple M2 Ultra", 60].reached_gb_s == (636.0, 636.0)
    assert (found["Apple M5", 10].reached_tflops, found["Apple M5", 10].reached_gb_s) == (None, None)
    # Nobody measured more than there is.
    for chip in found.values():
        if chip.reached_tflops and chip.fp32_tflops:
            assert chip.reached_tflops[1] <= chip.fp32_tflops[1], chip
        if chip.reached_gb_s:
            assert chip.reached_gb_s[1] <= chip.bandwidth_gb_s[1], chip
    assert {name for (name, _), chip in found.items() if chip.neural} == {
        *("Apple M5", "Apple M5 Pro", "Apple M5 Max", "Apple M5 Ultra", "Apple M6")
    }


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([{"sources": ["a", "c"]}], "X: a source that is not listed"),
        ([{}, {}], "X with 8 GPU cores is there twice"),
        ([{"gpu_cores": [8, 8]}], "X with 8 GPU cores is there twice"),
        ([{"clock_ghz": 0}], "0 is no range"),
        ([{"clock_ghz": [2.0, 1.0]}], "[2.0, 1.0] is no range"),
        ([{"bandwidth_gb_s": [-1, 1]}], "[-1, 1] is no range"),
    ],
)
def test_a_table_of_chips_that_cannot_be_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, changes: list[dict[str, Any]], said: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        table(monkeypatch, tmp_path, *changes)


def test_a_machine_that_does_not_know_its_cores_has_one() -> None:
    for load, result in ((0.5, "pass"), (0.51, "warn")):
        report = HostReport("mac", "mac", "ml-m1", "full", "2026-11-21T00:00:00Z")
        assert judged({**mac(), "load": load}, report, cores=None)[1].result == result


def test_a_mac_with_a_known_chip() -> None:
    report = empty_report()
    found = judged(mac(), report)
    assert [one.result for one in found] == ["pass", "pass"]
    assert "Apple M1, 8 GPU cores: at most 2.62 TFLOPS fp32, 68.2 GB/s" in found[0].message
    chip = machine.chip_of(report)
    assert chip is not None
    assert chip.gpu_cores == 8
    seen = report.as_data()["chip"]
    assert seen["fp32_tflops"] == list(chip.fp32_tflops or ())
    assert seen["bandwidth_gb_s"] == [68.25, 68.25]
    assert report.machine["virtual"] is False


def test_a_mac_whose_peak_nobody_states_is_known_and_has_none() -> None:
    report = empty_report()
    gpu = '{"SPDisplaysDataType": [{"sppci_cores": "12"}]}'
    found = judged(mac(gpu=gpu, model="Mac18,5\n"), report, cpu="Apple M6")
    assert [one.result for one in found] == ["pass", "pass"]
    assert found[0].message == "Apple M6, 12 GPU cores: peak in TFLOPS not known, 153 to 170 GB/s"
    seen = report.as_data()["chip"]
    assert (seen["known"], seen["fp32_tflops"], seen["fp16_tflops"]) == (True, None, None)


VIRTUAL = {"model": "VirtualMac2,1\n", "virtual": "1\n", "gpu": "{}"}


def test_a_virtual_mac_is_called_one_and_its_chip_is_not_asked_for() -> None:
    report = empty_report()
    found = judged(mac(**VIRTUAL), report, cpu="Apple M1 (Virtual)")
    assert (found[0].result, found[0].message) == (
        "skip", "a virtual Mac (Apple M1 (Virtual)): its GPU is Apple's paravirtual one, which has no figures"
    )  # fmt: skip
    assert report.machine["virtual"] is True


@pytest.mark.parametrize(
    ("said", "cpu", "virtual"),
    [
        ({}, "Apple M1", True),
        ({"model": "MacBookPro17,1\n"}, "Apple M1 (Virtual)", True),
        # One sign alone is none: nothing of a real Mac is to be excused by it.
        ({"model": "MacBookPro17,1\n"}, "Apple M1", False),
        ({"virtual": "0\n"}, "Apple M1 (Virtual)", False),
        ({"virtual": ""}, "Apple M1 (Virtual)", False),
    ],
)
def test_a_mac_is_virtual_where_its_kernel_and_its_names_say_so(said: dict[str, str], cpu: str, virtual: bool) -> None:
    report = empty_report()
    judged(mac(**{**VIRTUAL, **said}), report, cpu=cpu)
    assert report.machine["virtual"] is virtual


def test_a_busy_machine_is_a_warning_where_something_is_timed() -> None:
    for level, result in (("quick", "pass"), ("full", "warn"), ("soak", "warn")):
        report = HostReport("mac", "mac", "ml-m1", level, "2026-11-21T00:00:00Z")
        answer = judged({**mac(), "load": 9.0}, report)[1]
        assert answer.result == result
        assert "9.0 on 8 cores" in answer.message


def test_an_unknown_chip_is_named_and_judged_by_nothing() -> None:
    report = empty_report()
    found = judged(mac(gpu='{"SPDisplaysDataType": [{"sppci_cores": "99"}]}'), report)
    assert (found[0].result, found[0].fault) == ("warn", "unknown-chip")
    assert "'Apple M1' with 99 GPU cores (macOS 15.6.1)" in found[0].message
    assert machine.chip_of(report) is None
    seen = report.as_data()["chip"]
    assert (seen["known"], seen["fp32_tflops"]) == (False, None)


def test_a_machine_that_told_nonsense() -> None:
    found = judged({"said": 7}, empty_report())
    assert (found[0].result, found[0].fault, found[1].result) == ("fail", "malformed", "skip")
