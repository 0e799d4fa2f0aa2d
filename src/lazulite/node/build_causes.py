"""Why uv could not build an environment, in a sentence that names the package and what to change."""

import re
from collections.abc import Mapping
from typing import Any

LAST_LINES = 12


def explain(output: str, plan: Mapping[str, Any]) -> str:
    """The message of a failed build, from uv's output."""
    cause = likely_cause(" ".join(output.split()), plan)
    tail = "\n".join(line for line in output.splitlines() if line.strip())[-2000:]
    head = f"The environment {plan['name']} could not be built."
    return f"{head} {cause}\nFrom azureml-logs/20_image_build_log.txt:\n{last_lines(tail)}"


def likely_cause(text: str, plan: Mapping[str, Any]) -> str:
    """One sentence for what uv said in `text` (white space folded); a general one when nothing fits."""
    for pattern, sentence in CAUSES:
        match = re.search(pattern, text)
        if match:
            facts = {name: value.rstrip(".,") for name, value in match.groupdict().items() if value}
            return sentence.format(**{"python": plan["python"], **facts})
    return "Correct the package list of the environment (conda_file, Dockerfile) and submit again."


def last_lines(text: str) -> str:
    return "\n".join(text.splitlines()[-LAST_LINES:])


CAUSES = (
    (
        r"Because (?P<package>[\w.-]+) was not found in the (?:package registry|provided package locations)",
        "There is no package '{package}' on the package index: correct its name in the conda_file or Dockerfile.",
    ),
    (
        r"Because there (?:is|are) no versions? of (?P<package>[\w.\[\]-]+?)(?P<versions>(?:[=<>!~][^ ]+|\{[^}]*\}))",
        "'{package}' has no version {versions}: ask for one that exists, or leave the version out.",
    ),
    (
        r"Because there (?:is|are) no versions? of (?P<package>[\w.\[\]-]+)",
        "No version of '{package}' fits the requirement: relax its version.",
    ),
    (
        r"current Python version \((?P<found>[\d.]+)\) does not satisfy Python(?P<wanted>[<>=!~][^ ]+) and "
        r"(?P<package>[\w.\[\]-]+?)(?:[=<>!~][^ ]*)? depends on",
        "'{package}' needs Python {wanted} and this environment has {found}: change python= in the conda_file, install "
        "such a Python on this machine, or ask for another version of '{package}'.",
    ),
    (
        r"(?P<package>[\w.\[\]-]+?)(?:[=<>!~][^ ]*)? has no wheels with a matching Python",
        "'{package}' has no build for this Python: change python= in the conda_file or the version of '{package}'.",
    ),
    (
        r"Failed to build `(?P<package>[^`]+)`",
        "'{package}' has no ready build for Python {python} here and could not be compiled: ask for a version with a "
        "wheel for this Python, or install the compiler and libraries that the log names.",
    ),
    (
        r"(?:Failed to fetch|error sending request|dns error|Could not connect|tunnel error)",
        "The package index could not be reached: check the network, or PIP_INDEX_URL of the server.",
    ),
    (
        r"Because (?P<cause>.{10,300}?), we can conclude that (?:your|the) requirements are unsatisfiable",
        "The packages asked for do not go together: {cause}.",
    ),
    (r"No interpreter found|Failed to inspect Python interpreter", "Python {python} was not found on this machine."),
    (r"No space left on device", "The disk is full."),
)
