"""Core ML's plan: told as what it is, an intention; and no machine is unhealthy for it."""

import sys
import types
from collections.abc import Callable
from typing import Any

import pytest

from tests.verify import told
from verify.probes import coreml
from verify.results.model import CheckResult

PLAN = {
    "version": "9.0",
    "operations": [
        {"name": "ios16.cast", "preferred": "MLCPUComputeDevice", "supported": ["MLCPUComputeDevice"]},
        {
            "name": "ios17.conv",
            "preferred": "MLNeuralEngineComputeDevice",
            "supported": ["MLCPUComputeDevice", "MLGPUComputeDevice", "MLNeuralEngineComputeDevice"],
        },
    ],
}


def judge(plan: Any = None, *, ended: str = "exit", error: str = "") -> CheckResult:
    records: list[dict[str, Any]] = [{"stage": "plan", "event": "start"}]
    if error:
        records.append({"stage": "plan", "event": "error", "error": error, "trace": ""})
    elif plan is not None:
        records.append({"stage": "plan", "event": "end", "seconds": 1.0, "data": {**PLAN, **plan}})
    answer = told.outcome("coreml", records, ended=ended, signal="SIGABRT", evidence="last words")
    (found,) = told.judged("coreml", None, answer, required=False)
    return found


def test_a_plan_is_eligibility_and_no_more() -> None:
    answer = judge(PLAN)
    assert answer.result == "pass"
    assert "eligible for the Neural Engine, which the plan prefers, and for CPU and GPU" in answer.message
    assert "whether it ran there is not shown" in answer.message


def test_a_unit_that_nobody_knows_is_told_as_it_is_named() -> None:
    plan = {"operations": [{"name": "conv", "preferred": "MLQuantumComputeDevice", "supported": []}]}
    assert "unknown unit MLQuantumComputeDevice" in judge(plan).message


@pytest.mark.parametrize(
    ("seen", "fault"),
    [
        (lambda: judge(error="RuntimeError: no"), "exception"),
        (lambda: judge(ended="signal"), "crash"),
        (lambda: judge(ended="timeout"), "hang"),
        (lambda: judge({"operations": []}), "malformed"),
        (lambda: judge({"operations": [*PLAN["operations"], *PLAN["operations"]]}), "malformed"),
        (lambda: judge({"operations": None}), "malformed"),
    ],
)
def test_whatever_goes_wrong_is_a_warning(seen: Callable[[], CheckResult], fault: str) -> None:
    answer = seen()
    assert (answer.result, answer.fault) == ("warn", fault)
    assert answer.advice


class Builder:
    """As much of coremltools.converters.mil.Builder (9.0) as the probe uses; nothing is built."""

    TensorSpec = staticmethod(lambda shape: shape)
    conv = staticmethod(lambda x, weight, pad_type: (x, weight.shape, pad_type))

    @staticmethod
    def program(input_specs: list[Any]) -> Any:
        return lambda function: function(input_specs[0])


class MLGPUComputeDevice: ...


class MLCPUComputeDevice: ...


def test_the_probe_reads_the_plan_of_the_compiled_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a stand-in for coremltools 9.0: its names and calls, without a compiler or a plan of Core ML's."""
    conv, constant = (types.SimpleNamespace(operator_name=name) for name in ("ios17.conv", "const"))
    usage = types.SimpleNamespace(
        preferred_compute_device=MLGPUComputeDevice(),
        supported_compute_devices=[MLGPUComputeDevice(), MLCPUComputeDevice()],
    )
    asked: dict[str, Any] = {}

    def load_from_path(path: str, units: str) -> Any:
        asked.update(path=path, units=units)
        block = types.SimpleNamespace(operations=[constant, conv])
        program = types.SimpleNamespace(functions={"main": types.SimpleNamespace(block=block)})
        return types.SimpleNamespace(
            model_structure=types.SimpleNamespace(program=program),
            get_compute_device_usage_for_mlprogram_operation=lambda one: usage if one is conv else None,
        )

    def convert(built: Any, **options: Any) -> Any:
        asked.update(built=built, **options)
        return types.SimpleNamespace(get_compiled_model_path=lambda: "/x.mlmodelc")

    modules = {
        "coremltools": types.SimpleNamespace(
            __version__="9.0",
            convert=convert,
            precision=types.SimpleNamespace(FLOAT16="fp16"),
            ComputeUnit=types.SimpleNamespace(ALL="all"),
            target=types.SimpleNamespace(macOS14="macos14"),
        ),
        "coremltools.converters.mil": types.SimpleNamespace(Builder=Builder),
        "coremltools.models.compute_plan": types.SimpleNamespace(
            MLComputePlan=types.SimpleNamespace(load_from_path=load_from_path)
        ),
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    expected = {"name": "ios17.conv", "preferred": "MLGPUComputeDevice"}
    assert coreml.plan() == {
        "version": "9.0",
        "operations": [{**expected, "supported": ["MLCPUComputeDevice", "MLGPUComputeDevice"]}],
    }
    assert asked == {
        # Sixty-four channels in and out, of 64 x 64, and 3 x 3 weights.
        "built": ((1, 64, 64, 64), (64, 64, 3, 3), "same"),
        **{"convert_to": "mlprogram", "compute_precision": "fp16", "minimum_deployment_target": "macos14"},
        # Whatever the machine has.
        **{"compute_units": "all", "path": "/x.mlmodelc", "units": "all"},
    }
