"""Whole numbers as clients write them. Python's own `isdigit` and `int` take more than digits, and less of them."""

from __future__ import annotations

import re

#: The largest that a database column or a file's offset holds.
MOST = 2**63 - 1
_DIGITS = re.compile("[0-9]{1,19}").fullmatch


def whole_number(value: object, least: int = 0, most: int = MOST) -> int | None:
    """The number that a text of the digits 0 to 9 says, or that a number is; None for all else and beyond the bounds.

    >>> whole_number("12"), whole_number("²"), whole_number("9" * 5000), whole_number(True)
    (12, None, None, None)
    """
    if isinstance(value, str) and _DIGITS(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if least <= value <= most else None


def is_digit(character: str) -> bool:
    """Whether it is one of the digits 0 to 9."""
    return len(character) == 1 and character in "0123456789"
