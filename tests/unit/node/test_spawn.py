import os
import sys
import time
from pathlib import Path

import pytest

from lazulite.node import spawn


class Ended(Exception):
    pass


def end() -> None:
    raise Ended


def test_the_output_is_appended_as_it_comes(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    for text in ("one", "two"):
        code = spawn.run_logged(["/bin/sh", "-c", f"echo {text}; exit 3"], str(log), {}, str(tmp_path), lambda: None)
        assert code == 3
    assert log.read_text() == "one\ntwo\n"


def test_a_process_that_does_not_lead_its_group_yet_is_ended_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "setsid", lambda: time.sleep(20))  # in the new process, which is ended meanwhile
    with pytest.raises(Ended):
        spawn.run_logged([sys.executable, "-c", ""], str(tmp_path / "log.txt"), {}, str(tmp_path), end)


def test_with_a_process_ends_what_it_started(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"

    def once_it_wrote() -> None:
        if log.exists() and log.read_text():
            raise Ended

    with pytest.raises(Ended):
        spawn.run_logged(["/bin/sh", "-c", "sleep 60 & echo $!; wait"], str(log), os.environ.copy(), "/", once_it_wrote)
    child = int(log.read_text())
    deadline = time.monotonic() + 10
    while Path(f"/proc/{child}").exists() and Path(f"/proc/{child}/stat").read_text().split()[2] != "Z":
        assert time.monotonic() < deadline
