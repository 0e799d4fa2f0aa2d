"""Azure's naming rules, one object each, so that a refusal can say the rule."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lazulite.core.errors import ApiError


@dataclass(frozen=True, slots=True)
class NameRule:
    pattern: str
    says: str

    def check(self, name: str, target: str = "name") -> None:
        """Raises ApiError 400 saying the rule and what breaks it."""
        if not re.fullmatch(self.pattern, name):
            raise ApiError(400, "InvalidName", f"'{name}' is not a valid name here: {self.says}.", target=target)


RESOURCE = NameRule(
    r"[a-zA-Z0-9][a-zA-Z0-9_.\-]{0,254}",
    "it must be 1 to 255 letters, digits, '-', '_' or '.', and begin with a letter or digit",
)
JOB = NameRule(
    r"[a-zA-Z0-9][a-zA-Z0-9_\-]{0,254}",
    "it must be 1 to 255 letters, digits, '-' or '_', and begin with a letter or digit",
)
WORKSPACE = NameRule(
    r"[a-zA-Z0-9][a-zA-Z0-9_\-]{2,32}",
    "it must be 3 to 33 letters, digits, '-' or '_', and begin with a letter or digit",
)
REGISTRY = WORKSPACE
COMPUTE = NameRule(
    r"[a-zA-Z][a-zA-Z0-9\-]{1,22}[a-zA-Z0-9]",
    "it must be 3 to 24 letters, digits or '-', begin with a letter and not end with '-'",
)
DATASTORE = NameRule(r"[a-zA-Z0-9_]{1,255}", "it must be 1 to 255 letters, digits or '_'")
STORAGE_ACCOUNT = NameRule(r"[a-z0-9]{3,24}", "it must be 3 to 24 lower-case letters or digits")
KEY_VAULT = NameRule(
    r"(?=.{3,24}$)[a-zA-Z](-?[a-zA-Z0-9])*",
    "it must be 3 to 24 letters, digits or single '-', begin with a letter and not end with '-'",
)
INSIGHTS = NameRule(
    r"[\w().\-]{0,254}[\w()\-]", "it must be 1 to 255 letters, digits, '-', '_', '.', '(' or ')', and not end with '.'"
)
CONTAINER_REGISTRY = NameRule(r"[a-zA-Z0-9]{5,50}", "it must be 5 to 50 letters or digits")
VERSION = NameRule(r"[a-zA-Z0-9][a-zA-Z0-9_.\-]{0,254}", RESOURCE.says)
