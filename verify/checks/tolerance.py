"""How far correct float32 arithmetic may be from the exact result, derived from the kind of numbers and of the sum.

All in units of eps = 2 u, where u is the unit roundoff (2^-24 for float32).

Inner products. In the worst case an inner product of k terms, summed in any order, is off by at most
gamma_k |a|.|b|, gamma_k = k u / (1 - k u) (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section
3.1, (3.5); section 3.5 for products), and by Cauchy-Schwarz gamma_k ||a|| ||b||. That is of no use for k = 8192: inputs
rounded to 10 bits pass it. Rounding errors of mean zero give sqrt(k) instead of k (Higham and Mary, A new approach to
probabilistic rounding error analysis, SIAM J. Sci. Comput. 41(5), 2019, theorem 3.1), and data of mean zero as well
give a bound which does not grow with k (Higham and Mary, Sharper probabilistic backward error analysis for basic
linear algebra kernels with random data, SIAM J. Sci. Comput. 42(5), 2020). For our data the constant is easily had:
step i of a running sum rounds a partial sum of size sqrt(i) s, where s is the standard deviation of a term, by
u / sqrt(3) at most on average, so that the root mean square of the whole error is at most

    u / sqrt(3) * sqrt(sum of i s^2 for i <= k) = u s k / sqrt(6) = 0.41 u ||a|| ||b|| = 0.2 eps ||a|| ||b||,

and blocked and tree-wise sums are better. PRODUCT is twenty times that: a million entries stay below it with a wide
margin for the tails, and the smaller worst case holds where k is small. Inputs rounded to TF32 (10 bits) give
0.6 * 2^-11 / sqrt(k) ||a|| ||b|| on average, which is 2400 / sqrt(k) eps: 12 at k = 40000, and several times that in
the largest of some hundred entries.
"""

import math

from ..probes import units

PRODUCT = 4.0
"""Limit for inner products of data with mean zero, in eps ||a|| ||b||, at any number of terms; of Freivalds' residual
as well, which is such an error averaged over a row."""
NORMAL = 6.0
"""Limit for a mean and a variance in standard errors; a correct generator exceeds it once in 5 * 10^8 seeds."""
_RANGE = 16.0
"""The largest |x - max x| of the softmax case."""
_LIBRARY = 8.0
"""Allowed, in eps, to a library's exponential and division, beside what grows with the argument; our choice."""
_LAMBDA = 6.0


def limit(unit: str, k: int) -> float:
    """How large an error of a case may be.

    Args:
        unit: one of verify/probes/units.py.
        k: number of terms that were summed.

    Raises:
        KeyError: the unit is unknown.
    """
    return {
        units.EXACT: lambda: 0.0,
        # gamma_k in eps = 2 u, where that is smaller; one rounding more for the result's own.
        units.ROUNDING: lambda: min((k + 1) / 2, PRODUCT),
        units.RELATIVE: lambda: _softmax(k),
        units.SIGMA: lambda: NORMAL,
        units.WEIGHTED: lambda: _softmax(k) + _sum(k),
        units.NORMED: lambda: _sum(k) + _LIBRARY,
    }[unit]()


def _softmax(k: int) -> float:
    """Relative error of a softmax of k values between -8 and 8.

    As analysed by Blanchard, Higham and Higham, Accurately computing the log-sum-exp and softmax functions, IMA J.
    Numer. Anal. 41(4), 2021: |x - max| u for the rounding of the difference, which the exponential magnifies; the
    exponential's own error, for which a fast one that loses twice the argument in eps is allowed; and that of the sum,
    all of whose terms are positive, lambda sqrt(k) u after Higham and Mary 2019.
    """
    return _RANGE / 2 + _LIBRARY + 2 * _RANGE + _sum(k)


def _sum(k: int) -> float:
    """Relative error of a sum of k terms of one sign, in eps: lambda sqrt(k) u.

    Attention is a weighted mean: beside this sum its weights are off as those of a softmax, and by twice what their
    logits are off, PRODUCT at most in eps ||q|| ||k||, which is what the unit's first factor grows by. A layer norm's
    mean is such a sum of a row, off by r in units of its deviation; its variance, had in one pass as the difference of
    two means, by r^2; a square root and a division are the library's.
    """
    return _LAMBDA * math.sqrt(k) / 2
