"""Real numbers, from digits or exact numbers: none becomes infinite or zero by being rounded."""

from __future__ import annotations

import math
from fractions import Fraction

TOO_LARGE = "it is beyond what a real number can hold"
TOO_SMALL = "it is nearer to zero than a real number can be, and is not 0"


def read_real(text: str) -> float:
    """The number that digits say, as `1.5e-6`.

    Raises:
        ValueError: no real number is near it; the message says why.
    """
    value = float(text)
    mantissa = text.lower().partition("e")[0]
    return held(value, is_zero=not any(digit in "123456789" for digit in mantissa))


def rounded(number: float | Fraction) -> float:
    """The real number nearest to a whole or rational one; a real is itself, infinite or not.

    Raises:
        ValueError: no real number is near it; the message says why.
    """
    if isinstance(number, float):
        return number
    try:
        return held(float(number), is_zero=number == 0)
    except OverflowError:
        raise ValueError(TOO_LARGE) from None


def held(value: float, *, is_zero: bool) -> float:
    if math.isinf(value):
        raise ValueError(TOO_LARGE)
    if value == 0 and not is_zero:
        raise ValueError(TOO_SMALL)
    return value
