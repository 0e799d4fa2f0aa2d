"""The quickstart as a newcomer runs it: from nothing to a prediction, and nothing left behind."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.long import only_long

from lazulite.cli.home import running_server

SCRIPT = Path(__file__).parents[2] / "examples" / "quickstart" / "quickstart.py"


@only_long
@pytest.mark.clients
@pytest.mark.timeout(900)
def test_quickstart_trains_registers_and_uses_a_model(tmp_path: Path) -> None:
    home = tmp_path / "home"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--home", str(home)], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "now 0" in done.stdout
    assert "| Read 569 rows and 31 columns" in done.stdout
    accuracy = re.search(r"from MLflow: accuracy (0\.\d+), auc (0\.\d+)", done.stdout)
    assert accuracy is not None
    assert float(accuracy[1]) > 0.9
    assert "MLmodel" in done.stdout
    assert done.stdout.count("malignant with probability") == 5
    assert running_server(home) is None
    assert "lazulite:" not in done.stderr
