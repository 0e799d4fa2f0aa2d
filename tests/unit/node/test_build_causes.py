import pytest

from lazulite.node import build_causes

PLAN = {"name": "env:1", "python": "3.8"}


@pytest.mark.parametrize(
    ("output", "named"),
    [
        (
            "  × No solution found when resolving dependencies:\n  ╰─▶ Because nosuchthing was not found in the package "
            "registry and you\n      require nosuchthing, we can conclude that your requirements are unsatisfiable.",
            "no package 'nosuchthing'",
        ),
        (
            "cause: Because there is no version of six==99.0 and you require six==99.0, we can conclude that your "
            "requirements are unsatisfiable.",
            "'six' has no version ==99.0",
        ),
        (
            "Because the current Python version (3.8.18) does not satisfy Python>=3.9 and pandas==2.1.0 depends on "
            "Python>=3.9, we can conclude that pandas==2.1.0 cannot be used.",
            "'pandas' needs Python >=3.9",
        ),
        (
            "  × Failed to build `psutil==5.8.0`\n  ├─▶ The build backend returned an error",
            "'psutil==5.8.0' has no ready build",
        ),
        (
            "Because a==1 depends on numpy<2 and you require numpy>=2, we can conclude that your requirements are "
            "unsatisfiable.",
            "do not go together: a==1 depends on numpy<2 and you require numpy>=2",
        ),
        ("error: Failed to fetch: `https://index/simple/six/`", "index could not be reached"),
        ("something else", "Correct the package list"),
    ],
)
def test_the_package_and_the_change_are_named(output: str, named: str) -> None:
    message = build_causes.explain(output, PLAN)
    assert named in message
    assert message.startswith("The environment env:1 could not be built.")
