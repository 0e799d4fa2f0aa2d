"""Public files that cases read, served from the checkout by the setting `url_mirror`: the cases are left as they are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from conformance.manifest import Case
from conformance.sandbox import MissingFile, required
from lazulite.model.url_mirror import https_form


def lay_out(home: Path, cases: Iterable[Case], checkouts: Mapping[str, Path]) -> None:
    """Copy the files below the home, and map their addresses to them in its settings, which a server reads at its start."""
    mapped = {}
    for case in cases:
        for mirror in case.mirrors:
            folder, _, name = mirror.url.rpartition("/")
            into = home / "mirror" / https_form(folder).removeprefix("https://").rstrip("/")
            try:
                source = required(checkouts[case.root], mirror.file)
            except MissingFile:
                continue  # the case says so when its turn comes: its job finds nothing there
            into.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, into / name)
            mapped[folder] = str(into)
    lines = [f"{json.dumps(address)} = {json.dumps(folder)}" for address, folder in sorted(mapped.items())]
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    (home / "settings.toml").write_text("\n".join(["[url_mirror]", *lines, ""]))
