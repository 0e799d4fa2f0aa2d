"""The command beside a real server, started and stopped as a user does it."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lazulite.cli.client import call
from lazulite.cli.home import running_server
from lazulite.cli.main import main
from lazulite.cli.variables import workspace_id
from lazulite.core.command_line import RESOURCE_GROUP, SUBSCRIPTION

ANYWHERE = ["--port", "0", "--http-port", "0"]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    main(["down", "--home", str(tmp_path / "home")])


def lazulite(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lazulite.cli.main", *arguments],
        env=os.environ | environ,
        capture_output=True,
        text=True,
        check=False,
    )


def test_up_status_env_principal_down(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--home", str(home)]
    assert main(["up", "--detach", *ANYWHERE, *where]) == 0
    said = capsys.readouterr().out
    assert "isolation" in said
    assert "disk watched every 2 s" in said
    assert "lazulite env --home" in said
    assert f"Stop it with `lazulite down --home {home}`" in said

    assert main(["up", *where]) == 0
    assert "already running" in capsys.readouterr().out

    assert main(["status", "--json", *where]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["running"]
    assert facts["status"] == "healthy"

    assert main(["env", "--shell", "json", *where]) == 0
    variables = json.loads(capsys.readouterr().out)
    assert variables["ARM_CLOUD_METADATA_URL"] == f"{facts['http_url']}/metadata/endpoints"
    assert variables["AZURE_CLIENT_ID"] is None
    assert Path(variables["SSL_CERT_FILE"]).exists()

    assert main(["principal", "create", "ci", "--role", "Reader", "--json", *where]) == 0
    made = json.loads(capsys.readouterr().out)
    assert main(["principal", "create", "ci", "--role", "Readr", *where]) == 1
    assert "Reader" in capsys.readouterr().err
    assert main(["principal", "list", *where]) == 0
    assert made["id"] in capsys.readouterr().out
    assert main(["principal", "delete", made["id"], *where]) == 0
    capsys.readouterr()
    assert main(["principal", "list", *where]) == 0
    assert made["id"] not in capsys.readouterr().out

    assert main(["down", *where]) == 0
    assert running_server(home) is None


def _heed_ctrl_c() -> None:
    """Who runs the tests in the background of a shell has it ignored, and so would the child."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_foreground_ends_cleanly_when_interrupted(home: Path) -> None:
    command = [sys.executable, "-u", "-m", "lazulite.cli.main", "up", *ANYWHERE, "--home", str(home)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=_heed_ctrl_c
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if "Ctrl-C" in line:
                break
        child.send_signal(signal.SIGINT)
        try:
            child.communicate(timeout=30)
        finally:
            child.terminate()
    assert child.returncode == 0
    assert not (home / "server.json").exists()


def test_run_starts_a_server_for_one_command_and_passes_its_code(home: Path) -> None:
    done = lazulite("run", "--home", str(home), "--", "sh", "-c", "echo $AZUREML_CURRENT_CLOUD; exit 7")
    assert (done.returncode, done.stdout) == (7, "LazuliteCloud\n")
    assert running_server(home) is None


def test_run_uses_the_server_that_runs(home: Path) -> None:
    main(["up", "--detach", *ANYWHERE, "--home", str(home)])
    server = running_server(home)
    assert server is not None
    done = lazulite("run", "--", "sh", "-c", "echo $IDENTITY_ENDPOINT; kill -9 $$", LAZULITE_HOME=str(home))
    assert done.returncode == 128 + signal.SIGKILL
    assert done.stdout == f"{server.http_url}/msi/token\n"
    assert running_server(home) == server


def test_run_says_so_when_there_is_no_such_program(home: Path) -> None:
    done = lazulite("run", "--home", str(home), "--", "no-such-program")
    assert done.returncode == 127
    assert "no-such-program" in done.stderr


def test_a_taken_port_is_named_with_the_way_out(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = lazulite("up", "--detach", "--port", port, "--http-port", "0", "--home", str(home))
    assert done.returncode == 1
    assert port in done.stderr
    assert "--port 0" in done.stderr


def test_a_setting_that_cannot_be_used_is_explained(home: Path) -> None:
    done = lazulite("up", "--detach", "--home", str(home), LAZULITE_ISOLATION="moat")
    assert done.returncode == 1
    assert "moat" in done.stderr


def test_activate_sets_this_process_and_starts_a_server(home: Path) -> None:
    program = (
        "import lazulite, os; a = lazulite.activate(os.environ['WHERE']);"
        "print(a.started, os.environ['IDENTITY_ENDPOINT'] == a.http_url + '/msi/token', 'AZURE_CLIENT_ID' in os.environ)"
    )
    environ = os.environ | {"WHERE": str(home), "AZURE_CLIENT_ID": "left over"}
    first = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)
    again = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)
    assert (first.stdout, again.stdout) == ("True True False\n", "False True False\n")
    assert running_server(home) is not None


def test_ports_are_kept_from_one_start_to_the_next(home: Path) -> None:
    program = "import lazulite, os; a = lazulite.activate(os.environ['WHERE']); print(a.https_url, a.http_url)"
    activated = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"WHERE": str(home)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert main(["down", "--home", str(home)]) == 0
    assert main(["up", "--detach", "--home", str(home)]) == 0
    server = running_server(home)
    assert server is not None
    assert [server.https_url, server.http_url] == activated
    assert main(["down", "--home", str(home)]) == 0
    done = lazulite("run", "--home", str(home), "--", "sh", "-c", "echo $IDENTITY_ENDPOINT")
    assert done.stdout == f"{activated[1]}/msi/token\n"


def test_mlflow_goes_to_the_workspace_of_the_config_json(home: Path, tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    lab.mkdir()
    assert main(["up", "--detach", *ANYWHERE, "--home", str(home)]) == 0
    made = {"subscription_id": SUBSCRIPTION, "resource_group": RESOURCE_GROUP, "workspace_name": "mlw-lab"}
    (lab / "config.json").write_text(json.dumps(made))

    def tracking(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "lazulite.cli.main", "run", *options, "--home", str(home)]
        return subprocess.run(
            [*command, "--", "sh", "-c", "echo $MLFLOW_TRACKING_URI"],
            cwd=lab,
            capture_output=True,
            text=True,
            check=False,
        )

    before = tracking()
    assert "mlw-lab" in before.stderr
    assert before.stdout.endswith("/workspaces/mlw-default\n")
    server = running_server(home)
    assert server is not None
    call(server, "PUT", f"{workspace_id(workspace='mlw-lab')}?api-version=2024-10-01", {"location": "local"})
    after = tracking()
    assert after.stdout == f"{server.http_url}/mlflow/rest{workspace_id(workspace='mlw-lab')}\n"
    assert after.stderr == ""
    assert tracking("--workspace", "mlw-default").stdout.endswith("/workspaces/mlw-default\n")
    refused = tracking("--workspace", "nonesuch")
    assert (refused.returncode, "nonesuch" in refused.stderr) == (1, True)


def test_activate_leaves_a_config_json_where_it_is_asked_for(home: Path, tmp_path: Path) -> None:
    program = (
        "import lazulite, os; home = os.environ['WHERE'];"
        "print(lazulite.activate(home)); print(os.listdir('.'));"
        "print(lazulite.activate(home, config=True).config); print(lazulite.activate(home).config)"
    )
    folder = tmp_path / "scripts"
    folder.mkdir()
    environ = os.environ | {"WHERE": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=environ, capture_output=True, text=True, check=True
    )
    said, there, written, found = done.stdout.splitlines()
    assert "lazulite.activate(config=True) writes it" in said
    assert there == "[]"
    assert written == found == str(folder / "config.json")
    assert json.loads((folder / "config.json").read_text())["workspace_name"] == "mlw-default"
