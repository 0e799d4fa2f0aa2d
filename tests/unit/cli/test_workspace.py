import json
from pathlib import Path
from typing import Any

import pytest

from lazulite.cli import workspace
from lazulite.cli.errors import CommandError
from lazulite.cli.home import Server
from lazulite.cli.workspace import Workspace, chosen, of_config

SERVER = Server(Path("/home"), 1, "https://localhost:1", "http://localhost:2", "", "", "", "")
LAB = {"subscription_id": "s", "resource_group": "rg-dp100", "workspace_name": "mlw-dp100"}


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The workspaces that the server has, by name."""
    names = {"mlw-default", "mlw-dp100"}

    def call(server: Server, method: str, path: str) -> dict[str, Any]:
        name = path.split("?", 1)[0].rsplit("/", 1)[-1]
        if name not in names:
            raise CommandError(f"no workspace '{name}'")
        return {}

    monkeypatch.setattr(workspace, "call", call)
    return names


def config(folder: Path, document: object = LAB) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.json"
    path.write_text(json.dumps(document))
    return path


def test_the_config_json_of_the_folder_or_one_above_names_it(tmp_path: Path, there: set[str]) -> None:
    path = config(tmp_path)
    below = tmp_path / "Labs" / "07"
    below.mkdir(parents=True)
    assert chosen(SERVER, None, None, None, below) == Workspace("s", "rg-dp100", "mlw-dp100", path)


def test_it_is_looked_for_in_the_order_of_the_sdk(tmp_path: Path) -> None:
    config(tmp_path / "lab")
    hidden = config(tmp_path / ".azureml", LAB | {"workspace_name": "w"})
    found = of_config(tmp_path / "lab")
    assert found is not None
    assert (found.name, found.config) == ("w", hidden)


def test_options_win(tmp_path: Path, there: set[str]) -> None:
    config(tmp_path, LAB | {"workspace_name": "other"})
    there.add("w")
    assert chosen(SERVER, "w", "g", None, tmp_path) == Workspace(group="g", name="w")


def test_options_that_name_no_workspace_are_refused(tmp_path: Path, there: set[str]) -> None:
    with pytest.raises(CommandError, match="nonesuch"):
        chosen(SERVER, "nonesuch", None, None, tmp_path)


def test_a_config_json_of_real_azure_is_said_not_to_count(
    tmp_path: Path, there: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    config(tmp_path, LAB | {"workspace_name": "mlw-on-azure"})
    assert chosen(SERVER, None, None, None, tmp_path) == Workspace()
    assert "mlw-on-azure" in capsys.readouterr().err


@pytest.mark.parametrize("document", [[], {"workspace_name": "w"}, LAB | {"resource_group": 3}, "x"])
def test_a_config_json_of_another_program_is_passed_over(document: object, tmp_path: Path, there: set[str]) -> None:
    config(tmp_path, document)
    assert chosen(SERVER, None, None, None, tmp_path) == Workspace()
