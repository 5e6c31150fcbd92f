"""Quantities as Kubernetes writes them, as exact whole numbers.

Form and suffixes: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from math import ceil
from typing import Final

NANO: Final = 10**9
"""An amount counts billionths: Kubernetes knows none smaller, and rounds up to them."""
_FORM: Final = re.compile(
    r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))(?:([eE][+-]?\d{1,3})|(m|[kMGTPE]|[KMGTPE]i|n|u))?", re.ASCII
)
_MAX_LENGTH: Final = 64
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}


@lru_cache(maxsize=4096)
def amount(text: str) -> int:
    """Return a quantity in billionths.

    Raises:
        ValueError: It is no quantity.
    """
    found = _FORM.fullmatch(text) if len(text) <= _MAX_LENGTH else None
    if found is None:
        raise ValueError("must be a quantity such as 500m or 2Gi")
    number, exponent, suffix = found.groups()
    return ceil(Fraction(number) * _factor(exponent, suffix) * NANO)


def _factor(exponent: str | None, suffix: str | None) -> Fraction:
    if exponent is not None:
        return Fraction(10) ** int(exponent[1:])
    if suffix is None:
        return Fraction(1)
    if suffix in _BINARY:
        return Fraction(2) ** _BINARY[suffix]
    return Fraction(10) ** _DECIMAL[suffix]
