"""A good request made bad."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from tests.fuzz import values
from tests.fuzz.requests import Sent
from tests.fuzz.seeds import Seed

_GARBAGE = ("Bearer", "Bearer a.b.c", "Basic !!!a", "Basic YTpi", "SharedKey a:b", "Bearer " + "x" * 3000, "é")
_CONTROL, _UNSAFE = re.compile(r"[\x00-\x20\x7f]"), re.compile(r"[^\x21-\x7e]")


def spoiled(seed: Seed, token: str, chance: random.Random) -> tuple[Sent, bool]:
    """The request to send, and whether it carries the token."""
    path, query, headers = seed.path, seed.query, dict(seed.headers)
    body = b"" if seed.body is None or seed.method in ("GET", "HEAD") else values.encoded(seed.body)
    document: Any = seed.body
    for _ in range(chance.randint(1, 3)):
        kind = chance.randrange(6)
        if kind == 0:
            path = _path(path, chance)
        elif kind == 1:
            query = "&".join(filter(None, (query, chance.choice(values.QUERIES))))
        elif kind == 2:
            name, value = chance.choice(values.HEADERS)
            headers[name] = value
        elif kind == 3:
            body = chance.choice(values.BODIES)
        else:
            document = values.wrong(document if document is not None else {}, chance)
            body = values.encoded(document)
    headers.setdefault("Content-Type", "application/json")
    known = chance.random() < 0.9
    if known:
        headers["Authorization"] = f"Bearer {token}"
    elif chance.random() < 0.7:
        headers["Authorization"] = chance.choice(_GARBAGE)
    # A target of raw bytes above ASCII is no HTTP and goes no further than the parser: a few are enough.
    unsafe = _UNSAFE if chance.random() < 0.97 else _CONTROL
    target = unsafe.sub(lambda found: quote(found[0], safe=""), path + (f"?{query}" if query else ""))
    sent = Sent(seed.method, target, headers, body)
    return replace(sent, broken="Transfer-Encoding" in headers or "Upgrade" in headers or "Expect" in headers), known


def _path(path: str, chance: random.Random) -> str:
    """One segment replaced, doubled or left out."""
    segments = path.split("/")
    at = chance.randrange(1, len(segments)) if len(segments) > 1 else 0
    kind = chance.randrange(6)
    if kind == 0:
        del segments[at]
    elif kind == 1:
        segments.insert(at, segments[at])
    elif kind == 2:
        segments[at] = segments[at].swapcase()
    else:
        segments[at] = chance.choice(values.NAMES)
    return "/".join(segments) or "/"
