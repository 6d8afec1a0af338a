"""Waiting for something that a process does, with an end."""

import subprocess
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
LIMIT_S = 600


def wait_until(seen: Callable[[], T | None], process: subprocess.Popen[Any]) -> T:
    """Look until there is something to see; returns it.

    Args:
        seen: looks, and returns something that is true once it is there.
        process: must go on until then; what it printed is shown where it does not.
    """
    end = time.monotonic() + LIMIT_S
    while not (found := seen()):
        assert process.poll() is None, f"it ended before: {process.communicate()[0]}"
        assert time.monotonic() < end, "it never came"
        time.sleep(0.002)
    return found
