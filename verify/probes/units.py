"""What the probe of the numbers and the judgement of its answers both name: units, and sizes of products.

Apart from verify/probes/numbers.py, because the controller has no numpy.
"""

from __future__ import annotations

ROUNDING, RELATIVE, EXACT, SIGMA = "eps of norms", "eps of values", "wrong entries", "standard errors"
WEIGHTED, NORMED = "eps of weighted values", "eps of normed values"
"""Units, in which eps is that of the kind of numbers that was computed with: eps ||a_i|| ||b_j|| for an inner product
of a_i and b_j; eps |reference|; a count; standard errors; for attention eps (1 + ||q_i|| max ||k_j|| / sqrt(size)) sum
of p_ij |v_j|, where p are the weights; and for a layer norm eps (|g| (|z| r^2 + r) + |b|), where z is the normed value,
and r the root mean square of a row by its deviation."""

WHOLE = (16, 100, 257, 512)
"""Orders of products that are compared entry by entry."""
PROJECTED = (1024, 2048)
"""Orders of products that are compared by random projections (verify/probes/freivalds.py)."""
