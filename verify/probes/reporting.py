"""How a probe reports: one JSON line per event, on a file descriptor that nothing else writes to.

A probe is a list of stages. The line that opens a stage is written before it runs, so that the stage in which a
probe hangs or crashes is known. The first stage that fails ends the probe: what follows would only fail with it.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import time
import traceback
from collections.abc import Callable
from typing import Any

Stage = Callable[[], "dict[str, Any]"]


def start(entry: str, descriptor: int, parameters: dict[str, Any]) -> None:
    """Run the stages that a probe module's `stages(parameters)` gives, in their order.

    Args:
        entry: the probe's module name.
        descriptor: where the records go.
        parameters: what the controller asks of the probe.
    """
    stages: list[tuple[str, Stage]] = importlib.import_module(entry).stages(parameters)
    for name, stage in stages:
        _write(descriptor, {"stage": name, "event": "start"})
        started = time.perf_counter()
        try:
            data = stage()
        except Exception as error:
            _write(
                descriptor,
                {
                    "stage": name,
                    "event": "error",
                    "error": type(error).__name__ + ": " + str(error)[:1500],
                    "trace": traceback.format_exc()[-3000:],
                },
            )
            return
        seconds = round(time.perf_counter() - started, 4)
        _write(descriptor, {"stage": name, "event": "end", "seconds": seconds, "data": _plain(data)})


def _write(descriptor: int, record: dict[str, Any]) -> None:
    os.write(descriptor, (json.dumps(record, allow_nan=False) + "\n").encode())


def _plain(value: Any) -> Any:
    """JSON has no NaN or infinity: such a number travels as a string, and is no number on the other side."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value
