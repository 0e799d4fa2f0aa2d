"""sdk_methods.toml: what each public method of the SDK does here."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("sdk_methods.toml")


@dataclass(frozen=True, slots=True)
class SdkTable:
    """`works` is method to test id, `not_yet` method to the day it was listed, `client_only` method to the reason.

    `job_kinds` is kind of job to the id of the test that runs one.
    """

    works: dict[str, str]
    not_yet: dict[str, date]
    client_only: dict[str, str]
    job_kinds: dict[str, str]


@cache
def sdk_table() -> SdkTable:
    return read(FILE.read_text(encoding="utf-8"))


def read(text: str) -> SdkTable:
    """Raises tomllib.TOMLDecodeError, also where a method stands twice under one heading."""
    return SdkTable(**tomllib.loads(text))
