from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_CHATTY = """
import logging, os, sys
from pathlib import Path
from lazulite.server import log_file
logging.basicConfig(level=logging.INFO, format="%(message)s")
log_file.KEPT_BYTES = 2000
log_file.rotate(Path(sys.argv[1]))
for n in range(200):
    logging.getLogger("a").info("line %d %s", n, "x" * 80)
os.write(2, b"said without logging")
"""


def _run(home: Path, output: Path) -> None:
    with output.open("ab") as file:
        subprocess.run([sys.executable, "-c", _CHATTY, str(home)], stdout=file, stderr=file, check=True, env=os.environ)


def test_the_homes_log_begins_anew_when_it_is_full(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    _run(tmp_path, log)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["server.log", "server.log.1"]
    assert all(path.stat().st_size <= 2100 for path in tmp_path.iterdir())
    text = log.read_text()
    assert "line 199 " in text
    assert text.endswith("said without logging")


def test_an_output_that_is_not_the_homes_log_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "server.log").write_text("of an earlier server")
    _run(tmp_path, tmp_path / "elsewhere.log")
    assert (tmp_path / "server.log").read_text() == "of an earlier server"
    assert "line 0 " in (tmp_path / "elsewhere.log").read_text()
    assert "line 199 " in (tmp_path / "elsewhere.log").read_text()
