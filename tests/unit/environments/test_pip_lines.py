import pytest

from lazulite.environments import pip_lines
from lazulite.environments.spec import Packages, Unresolvable
from lazulite.model.run_plan import Install

FILES = {
    "requirements.txt": "six==1.16.0\n",
    "app/list.txt": "-r more.txt\n-c limits.txt\ntqdm \\\n  >=4  # progress\n",
    "app/more.txt": "--no-binary :none:\nattrs\n",
    "app/limits.txt": "numpy<2\n",
    "hashed.txt": "six==1.16.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n",
}


def a_file(name: str) -> str:
    if name not in FILES:
        raise Unresolvable(f"no file {name}")
    return FILES[name]


def command(line: str) -> Packages:
    return pip_lines.parse_arguments(line.split(), a_file, "RUN")


def lines(*given: str) -> Packages:
    return pip_lines.parse_lines(given, a_file, "pip section")


@pytest.mark.parametrize(
    "options",
    [
        "--no-cache-dir --root-user-action=ignore --default-timeout=100 --upgrade-strategy only-if-needed"
        " --use-feature=fast-deps --log pip.log --proxy http://proxy:8080 --cert /etc/ssl/ca.pem -r requirements.txt",
        "-qUr requirements.txt",
        "-rrequirements.txt",
        "--requirement=requirements.txt",
    ],
)
def test_the_values_of_options_are_no_packages(options: str) -> None:
    found = command(options)
    assert (found.requirements, found.installs) == (["six==1.16.0"], [])


def test_ignored_options_are_listed() -> None:
    (note,) = command("-q --no-cache-dir --proxy http://proxy:8080 six").notes
    assert note == "RUN: ignored, without meaning here: --quiet, --no-cache-dir, --proxy."


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("-i https://i.example", ["--default-index", "https://i.example"]),
        ("--pypi-url https://i.example", ["--default-index", "https://i.example"]),
        ("--extra-index-url=https://i.example", ["--index", "https://i.example"]),
        ("-fhttps://i.example", ["--find-links", "https://i.example"]),
        ("--no-index", ["--no-index"]),
        ("--no-deps", ["--no-deps"]),
        ("--pre", ["--prerelease", "allow"]),
        ("--only-binary=:all:", ["--only-binary", ":all:"]),
        ("--no-binary numpy,scipy", ["--no-binary", "numpy", "--no-binary", "scipy"]),
        ("--require-hashes", ["--require-hashes"]),
        ("--no-build-isolation", ["--no-build-isolation"]),
        ("-C a=b", ["--config-setting", "a=b"]),
        ("--trusted-host h.example", ["--allow-insecure-host", "h.example"]),
    ],
)
def test_what_uv_can_follow_is_passed_on_for_that_command_alone(line: str, options: list[str]) -> None:
    found = command(f"{line} six")
    assert found.requirements == []
    assert found.installs == [Install(requirements=["six"], options=options)]


def test_in_a_pip_section_too() -> None:
    found = lines("--only-binary=:all:", "--only-binary numpy", "-r requirements.txt", "tqdm")
    assert found.installs == [
        Install(requirements=["six==1.16.0", "tqdm"], options=["--only-binary", ":all:", "--only-binary", "numpy"])
    ]


def test_the_order_of_installations_is_kept() -> None:
    found = Packages(requirements=["numpy"])
    for line in ("attrs", "torch --index-url https://cpu.example", "transformers"):
        found.add(command(line))
    assert found.requirements == ["numpy", "attrs"]
    assert [each.requirements for each in found.installs] == [["torch"], ["transformers"]]


def test_files_that_a_file_names_lie_beside_it_and_their_options_count() -> None:
    found = command("-r app/list.txt")
    assert found.installs == [Install(requirements=["attrs", "tqdm>=4"], options=["--no-binary", ":none:"])]
    assert found.constraints == ["numpy<2"]


def test_hashes_are_kept_and_then_required_as_by_pip() -> None:
    (install,) = command("-r hashed.txt").installs
    assert install.requirements == ["six==1.16.0 --hash=sha256:aa --hash=sha256:bb"]
    assert install.options == ["--require-hashes"]


def test_an_editable_address_is_installed_like_any_package() -> None:
    found = lines("-e git+https://git.example/b.git@v1#egg=b&subdirectory=src")
    assert found.requirements == ["b @ git+https://git.example/b.git@v1#subdirectory=src"]
    assert "not editable" in found.notes[0]


def test_a_dry_run_installs_nothing() -> None:
    found = command("--dry-run six")
    assert (found.requirements, found.installs) == ([], [])
    assert "nothing is installed" in found.notes[0]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--invented six", "--invented is not an option"),
        ("--python-version 3.9 six", "--python-version cannot be followed here: .*another machine"),
        ("-e .", "local package '.'"),
        ("./wheels/a.whl", "local package"),
        ("wheels/a-1.0-py3-none-any.whl", "local package"),
        ("--find-links /wheels six", "--find-links /wheels is a folder of the image"),
        ("-r missing.txt", "no file missing.txt"),
    ],
)
def test_what_cannot_be_followed_is_named(line: str, message: str) -> None:
    with pytest.raises(Unresolvable, match=message):
        command(line)


def test_options_behind_a_requirement_are_named() -> None:
    with pytest.raises(Unresolvable, match="--global-option behind 'six' is not understood"):
        lines("six --global-option=x")
