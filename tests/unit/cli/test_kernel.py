import json
import subprocess
import sys
from pathlib import Path

import pytest

from lazulite.cli.main import main

ENV = str(Path(sys.prefix))


def test_an_environment_that_is_there_becomes_a_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    title = "Python 3.10 - AzureML"
    code = main(["kernel", "install", "--name", "python38-azureml", "--display-name", title, "--env", ENV,
                 "--home", str(tmp_path / "home"), "--workspace", "w"])  # fmt: skip
    assert code == 0
    spec = json.loads((tmp_path / "kernels" / "python38-azureml" / "kernel.json").read_text())
    assert spec["display_name"] == title
    at = spec["argv"].index("--")
    assert spec["argv"][1:at] == ["-m", "lazulite.cli.main", "kernel", "start", "--home", str(tmp_path / "home"),
                                  "--workspace", "w"]  # fmt: skip
    assert spec["argv"][at + 1 :] == [f"{ENV}/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]


@pytest.mark.parametrize(
    ("environ", "place"),
    [
        ({"JUPYTER_DATA_DIR": "{0}/data"}, "data/kernels/k"),
        ({"JUPYTER_DATA_DIR": "", "XDG_DATA_HOME": "{0}/xdg"}, "xdg/jupyter/kernels/k"),
    ],
)
def test_it_lies_where_jupyter_looks(
    environ: dict[str, str], place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    for name, value in environ.items():
        monkeypatch.setenv(name, value.format(tmp_path))
    assert main(["kernel", "install", "--name", "k", "--env", ENV, "--home", str(tmp_path / "home")]) == 0
    assert (tmp_path / place / "kernel.json").exists()
    listed = subprocess.run(
        [sys.executable, "-m", "jupyter", "kernelspec", "list", "--json"], capture_output=True, text=True, check=True
    )
    assert json.loads(listed.stdout)["kernelspecs"]["k"]["resource_dir"] == str(tmp_path / place)


def test_an_environment_without_what_a_kernel_needs_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    python = tmp_path / "bare" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "$@"\n')
    python.chmod(0o755)
    assert main(["kernel", "install", "--env", str(tmp_path / "bare")]) == 1
    said = capsys.readouterr().err
    assert "No module named 'ipykernel'" in said
    assert f"uv pip install --python {python}" in said
    assert main(["kernel", "install", "--env", str(tmp_path / "none")]) == 1
    assert "no bin/python" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(("option", "value"), [("--name", "a b"), ("--name", "../x"), ("--python", "python3")])
def test_names_and_versions_are_checked(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kernel", "install", option, value]) == 1
    assert f"'{value}' is not" in capsys.readouterr().err
