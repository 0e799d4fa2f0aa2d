from __future__ import annotations

import pytest

from lazulite.core.numbers import MOST, is_digit, whole_number


@pytest.mark.parametrize(
    ("value", "number"),
    [
        *(("0", 0), ("007", 7), (12, 12), (str(MOST), MOST), (MOST, MOST)),
        *((value, None) for value in ("", "²", "٣", "-1", "+1", "1.0", " 1", "1 ", "1_0", "9" * 5000, str(MOST + 1))),
        *((value, None) for value in (None, True, 1.0, -1, MOST + 1, b"1", [])),
    ],
)
def test_what_is_a_whole_number(value: object, number: int | None) -> None:
    assert whole_number(value) == number


def test_bounds() -> None:
    assert [whole_number(str(n), 2, 3) for n in range(5)] == [None, None, 2, 3, None]


def test_digits() -> None:
    assert [is_digit(character) for character in ("0", "9", "²", "a", "", "12")] == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]
