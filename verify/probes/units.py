"""What the probe of the numbers and the judgement of its answers both name: units, and sizes of products.

Apart from verify/probes/numbers.py, because the controller has no numpy.
"""

from __future__ import annotations

ROUNDING, RELATIVE, EXACT, SIGMA = "eps of norms", "eps of values", "wrong entries", "standard errors"
"""Units: eps ||a_i|| ||b_j|| for an inner product of a_i and b_j; eps |reference|; a count; and standard errors."""

WHOLE = (16, 100, 257, 512)
"""Orders of products that are compared entry by entry."""
PROJECTED = (1024, 2048)
"""Orders of products that are compared by random projections (verify/probes/freivalds.py)."""
