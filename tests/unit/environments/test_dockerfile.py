from pathlib import Path

import pytest

from lazulite.environments import dockerfile
from lazulite.environments.spec import BuildContext, Unresolvable


def parse(text: str, folder: Path | None = None) -> dockerfile.Image:
    return dockerfile.parse(BuildContext(dockerfile=text, folder=str(folder) if folder else None))


def test_pip_lines_in_their_forms(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("pandas==2.1 # data\n-c limits.txt\n\nsix\n")
    (tmp_path / "limits.txt").write_text("numpy<2\n")
    image = parse(
        """# a comment
FROM python:3.10-slim
ARG EXTRA=tqdm
ENV MODE=fast WHERE="a b"
WORKDIR /app
COPY requirements.txt limits.txt ./
RUN pip install --no-cache-dir -r requirements.txt && \\
    python -m pip install "scikit-learn>=1.4" $EXTRA
RUN ["pip", "install", "attrs"]
RUN apt-get update && apt-get install -y gcc
CMD ["python"]
""",
        tmp_path,
    )
    assert image.base == "python:3.10-slim"
    assert image.packages.requirements == ["pandas==2.1", "six", "scikit-learn>=1.4", "tqdm", "attrs"]
    assert image.packages.constraints == ["numpy<2"]
    assert image.packages.variables == {"MODE": "fast", "WHERE": "a b"}
    assert any("line 10" in note and "apt-get" in note for note in image.packages.notes)
    assert [step.destination for step in image.copies] == ["/app/requirements.txt", "/app/limits.txt"]


def test_conda_in_a_dockerfile(tmp_path: Path) -> None:
    (tmp_path / "conda.yml").write_text("dependencies: [python=3.9, numpy=1.22]")
    image = parse(
        "FROM base\nCOPY . /build\nRUN conda env create -n x -f /build/conda.yml\nRUN conda install -y -c y scipy=1.10",
        tmp_path,
    )
    assert image.packages.python == "3.9"
    assert image.packages.requirements == ["numpy==1.22.*", "scipy==1.10.*"]


def test_condas_options_are_no_packages_and_its_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "specs.txt").write_text("# a list\nscipy=1.10  # c\n\n")
    (tmp_path / "env.yaml").write_text("dependencies: [python=3.9, numpy=1.22]")
    image = parse(
        "FROM base\nCOPY . /b\nRUN conda install -yqc conda-forge --solver libmamba --file=/b/specs.txt six\n"
        "RUN micromamba install -y -n base -f /b/env.yaml && micromamba clean -a",
        tmp_path,
    )
    assert image.packages.python == "3.9"
    assert image.packages.requirements == ["scipy==1.10.*", "six", "numpy==1.22.*"]
    assert any(
        "ignored, without meaning here: --yes, --quiet, --channel, --solver" in note for note in image.packages.notes
    )


def test_a_link_out_of_the_context_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("six\n")
    context = tmp_path / "context"
    context.mkdir()
    (context / "requirements.txt").symlink_to(tmp_path / "secret")
    with pytest.raises(Unresolvable, match="not in the build context"):
        parse("FROM x\nCOPY requirements.txt .\nRUN pip install -r requirements.txt", context)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("RUN pip install six", "no FROM"),
        ("FROM a\nRUN ./configure && make", r"line 2 .*configure"),
        ("FROM a AS b\nFROM c", "line 2"),
        ("FROM a\nRUN pip install -r missing.txt", "missing.txt"),
        ("FROM a\nRUN pip install .", "local package"),
        ("FROM a\nCOPY ../x /y", "build context"),
        ("FROM a\nTYPO x", "TYPO"),
        (
            "FROM a\nRUN apt-get update && apt-get install -y r-base",
            "line 2 .*'r-base' is not a Python package.*container",
        ),
        ("FROM a\nRUN apt-get install -y --no-install-recommends default-jdk", "'default-jdk' is not"),
        ("FROM a\nRUN conda install --invented six", "--invented is not an option"),
        ("FROM a\nRUN conda install --only-deps six", "--only-deps cannot be followed"),
        ("FROM a\nRUN <<EOF\nx\nEOF", "here-document"),
    ],
)
def test_what_cannot_be_followed_is_refused_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(Unresolvable, match=message):
        parse(text, tmp_path)
