"""The probe for Core ML: on which compute units its plan would run a small fp16 convolution.

The plan is what Core ML intends (apple/coremltools, coremltools/models/compute_plan.py: MLComputePlanDeviceUsage, "the
anticipated compute devices"); that an operation ran there it does not show.
"""

from __future__ import annotations

import importlib
from typing import Any

from .reporting import Stage

CHANNELS, SIZE, KERNEL = 64, 64, 3
"""A convolution such as image models have: large enough to be worth another unit than the CPU."""


def stages(parameters: dict[str, Any]) -> list[tuple[str, Stage]]:  # noqa: ARG001 - as every probe's
    """List the one stage of this probe."""
    return [("plan", plan)]


def plan() -> dict[str, Any]:
    """Compile the convolution and read its plan.

    Returns:
        version: of coremltools; operations: for each operation that the plan places, its name, the preferred compute
        device and those that support it, by the names of coremltools' classes.
    """
    np = importlib.import_module("numpy")
    tools = importlib.import_module("coremltools")
    builder = importlib.import_module("coremltools.converters.mil").Builder
    plans = importlib.import_module("coremltools.models.compute_plan").MLComputePlan
    weights = np.random.default_rng(1).standard_normal((CHANNELS, CHANNELS, KERNEL, KERNEL)).astype(np.float32)

    @builder.program(input_specs=[builder.TensorSpec(shape=(1, CHANNELS, SIZE, SIZE))])  # type: ignore[untyped-decorator]
    def convolution(x: Any) -> Any:
        return builder.conv(x=x, weight=weights, pad_type="same")

    model = tools.convert(
        convolution,
        convert_to="mlprogram",
        compute_precision=tools.precision.FLOAT16,
        compute_units=tools.ComputeUnit.ALL,
        minimum_deployment_target=tools.target.macOS14,
    )
    # The plan is read from what is compiled; of a package that is not, it ends the process.
    found = plans.load_from_path(model.get_compiled_model_path(), tools.ComputeUnit.ALL)
    operations = []
    for operation in found.model_structure.program.functions["main"].block.operations:
        usage = found.get_compute_device_usage_for_mlprogram_operation(operation)
        # None for constants, which are placed nowhere.
        if usage is not None:
            supported = sorted(type(one).__name__ for one in usage.supported_compute_devices)
            preferred = type(usage.preferred_compute_device).__name__
            operations.append({"name": str(operation.operator_name), "preferred": preferred, "supported": supported})
    return {"version": str(tools.__version__), "operations": operations}
