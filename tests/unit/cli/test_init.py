import json
from pathlib import Path

import pytest

from lazulite.cli.main import main


def test_config_names_the_default_workspace(tmp_path: Path) -> None:
    assert main(["init", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "config.json").read_text()) == {
        "subscription_id": "00000000-0000-0000-0000-000000000001",
        "resource_group": "rg-lazulite",
        "workspace_name": "mlw-default",
    }


def test_the_same_config_is_left_as_it_is(tmp_path: Path) -> None:
    main(["init", str(tmp_path)])
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"note": "mine"}))
    assert main(["init", str(tmp_path)]) == 0
    assert json.loads(path.read_text())["note"] == "mine"


@pytest.mark.parametrize("present", ['{"workspace_name": "mlw-real"}', "[]", "not json"])
def test_another_config_is_replaced_only_by_force(
    present: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.json"
    path.write_text(present)
    assert main(["init", "--workspace", "w", str(tmp_path)]) == 1
    assert "--force" in capsys.readouterr().err
    assert path.read_text() == present
    assert main(["init", "--workspace", "w", "--force", str(tmp_path)]) == 0
    assert json.loads(path.read_text())["workspace_name"] == "w"


def test_a_missing_folder_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", str(tmp_path / "none")]) == 1
    assert "none" in capsys.readouterr().err
