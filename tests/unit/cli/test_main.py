import json
import subprocess
import sys
from pathlib import Path

import pytest

from lazulite.cli.main import main


def test_without_a_command_help_with_examples_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "examples:" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command",
    [
        "up",
        "env",
        "status",
        "run",
        "init",
        "principal create",
        "ui",
        "job",
        "job list",
        "job show",
        "job graph",
        "job logs",
        "job debug",
        "job rerun",
        "job cancel",
    ],
)
def test_every_command_shows_help_with_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), "--help"])
    assert ended.value.code == 0
    assert "examples:" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["status", "env", "ui", "principal list", "job list", "job graph j", "job logs j"])
def test_without_a_server_the_next_step_is_named(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command.split(), "--home", str(tmp_path)]) == 3
    assert "lazulite up" in capsys.readouterr().err


def test_stopping_nothing_is_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["down", "--home", str(tmp_path)]) == 0
    assert "No server" in capsys.readouterr().out


def test_status_as_json_without_a_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--json", "--home", str(tmp_path)]) == 3
    assert json.loads(capsys.readouterr().out) == {"running": False, "home": str(tmp_path)}


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_wrong_port_is_wrong_usage(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["up", f"--port={port}"])
    assert ended.value.code == 2
    assert port in capsys.readouterr().err


@pytest.mark.parametrize("wrong", ["list --max 0", "graph j --depth -1", "list -o yaml"])
def test_wrong_usage_of_job_commands(wrong: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["job", *wrong.split()])
    assert ended.value.code == 2


def test_a_picture_is_not_written_as_just_anything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["job", "graph", "j", "-o", "graph.png", "--home", str(tmp_path)]) == 2
    assert ".svg or .html" in capsys.readouterr().err


def test_run_without_a_command_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--home", str(tmp_path), "--"]) == 2
    assert "lazulite run --" in capsys.readouterr().err


def test_the_command_imports_nothing_slow() -> None:
    program = "import sys, lazulite.cli.main; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"starlette", "uvicorn", "sqlalchemy", "cryptography", "msgspec", "yaml", "asyncio"} & set(loaded)
