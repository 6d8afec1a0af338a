"""numpy, against which results are held; None in an environment without it, of which less can be asked."""

from __future__ import annotations

from typing import Any

np: Any = None
try:
    import numpy
except ModuleNotFoundError as error:
    # Something that a broken numpy lacks is another matter.
    if error.name != "numpy":
        raise
else:
    np = numpy
