from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

_BUSY = """
import sys, threading, time
from pathlib import Path
from lazulite.server import ending
ending.heed([], Path(sys.argv[1]))
threading.Thread(target=time.sleep, args=(60,)).start()  # what an interpreter would wait for at its end
print("ready", flush=True)
while True:
    pass
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_that_does_not_come_to_an_end_is_cut_off(tmp_path: Path, number: signal.Signals) -> None:
    note = tmp_path / "server.json"
    note.write_text("{}")
    process = subprocess.Popen([sys.executable, "-c", _BUSY, str(note)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    began = time.monotonic()
    process.send_signal(number)
    assert process.wait(timeout=20) == 0
    assert time.monotonic() - began < 5
    assert not note.exists()
    process.stdout.close()
