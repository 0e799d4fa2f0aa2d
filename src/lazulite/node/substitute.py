"""`${{inputs.x}}`, `${{outputs.x}}` and `$[[optional part]]` in a command."""

import re
from collections.abc import Mapping

from .failure import RunFailure

PLACEHOLDER = re.compile(r"\$\{\{\s*((?:inputs|outputs)\.[\w.-]+)\s*\}\}")
OPTIONAL = re.compile(r"\$\[\[(.*?)\]\]", re.DOTALL)


def command(text: str, values: Mapping[str, str]) -> str:
    """Put `values` (by `inputs.x`, `outputs.x`) into `text`.

    An optional part whose input was not given goes; one that names none stays as it is written. Raises RunFailure
    (UserError/UnknownPlaceholder) for a placeholder that is not bound.
    """
    lowered = {name.lower(): value for name, value in values.items()}

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name.lower() not in lowered:
            known = ", ".join(sorted(values)) or "none"
            message = f"The command names ${{{{{name}}}}}, which the job does not have. It has: {known}."
            raise RunFailure("UserError/UnknownPlaceholder", message)
        return lowered[name.lower()]

    def optional(match: re.Match[str]) -> str:
        names = [found.lower() for found in PLACEHOLDER.findall(match.group(1))]
        if not names:
            return match.group(0)
        return match.group(1) if all(name in lowered for name in names) else ""

    return PLACEHOLDER.sub(value, OPTIONAL.sub(optional, text))
