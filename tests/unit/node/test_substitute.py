import pytest

from lazulite.node import substitute
from lazulite.node.failure import RunFailure

VALUES = {"inputs.data": "/in/a b", "inputs.rate": "0.1", "outputs.model": "/out"}


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("run ${{inputs.data}} ${{ inputs.rate }} > ${{outputs.model}}/x", "run /in/a b 0.1 > /out/x"),
        ("run $[[--rate ${{inputs.rate}}]] end", "run --rate 0.1 end"),
        ("run $[[--more ${{inputs.more}}]] end", "run  end"),
        ("echo $[[inputs.rate]] $HOME ${X} $(date)", "echo $[[inputs.rate]] $HOME ${X} $(date)"),
        ("run ${{Inputs.Rate}}", "run ${{Inputs.Rate}}"),
        ("run ${{inputs.RATE}}", "run 0.1"),
    ],
)
def test_placeholders(text: str, command: str) -> None:
    assert substitute.command(text, VALUES) == command


def test_an_unknown_one_is_named_with_those_there_are() -> None:
    with pytest.raises(RunFailure, match=r"inputs\.dta.*inputs\.data") as caught:
        substitute.command("run ${{inputs.dta}}", VALUES)
    assert caught.value.code == "UserError/UnknownPlaceholder"
