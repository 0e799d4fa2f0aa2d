import shlex

import pytest

from lazulite.core.command_line import is_workspace_id, options, options_for, sign_in_command

FIRST = (
    "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-lazulite"
    "/providers/Microsoft.MachineLearningServices/workspaces/mlw-default"
)


def test_the_first_workspace_needs_no_words() -> None:
    assert options() == options_for(FIRST) == options_for(FIRST.upper()) == ""


def test_another_is_named_by_what_differs() -> None:
    team = FIRST.replace("mlw-default", "mlw-team").replace("rg-lazulite", "rg-team")
    assert options_for(team) == " --workspace mlw-team --group rg-team"
    assert options_for(team, "/my home") == " --home '/my home' --workspace mlw-team --group rg-team"
    assert options(subscription="s") == " --subscription s"


def test_signing_in_leads_to_the_job() -> None:
    assert sign_in_command("") == "lazulite ui"
    assert shlex.split(sign_in_command(" --workspace w", "a b")) == [
        "lazulite",
        "ui",
        "--job",
        "a b",
        "--workspace",
        "w",
    ]


@pytest.mark.parametrize(
    "text", ["", "x", FIRST + "/jobs/j", FIRST.replace("mlw-default", "$(rm)"), FIRST.replace("rg", "`rg`")]
)
def test_what_is_no_workspaces_id(text: str) -> None:
    assert not is_workspace_id(text)
    assert options_for(text) == ""


def test_what_is_one() -> None:
    assert is_workspace_id(FIRST)
