"""Where pip's and uv's settings say that packages lie, as far as that is on this machine."""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

#: pip's settings by the variable that uv has for them.
PIP_TO_UV = {"index_url": "UV_DEFAULT_INDEX", "extra_index_url": "UV_INDEX", "find_links": "UV_FIND_LINKS"}
VARIABLES = (
    *(f"PIP_{name.upper()}" for name in PIP_TO_UV),
    *PIP_TO_UV.values(),
    "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL",
)


def of_settings(environ: Mapping[str, str]) -> list[str]:
    """The folders and files of this machine that variables and configuration files name."""
    words = [*(environ.get(name, "") for name in VARIABLES), *pip_settings().values(), *uv_settings()]
    return list(dict.fromkeys(path for text in words for path in paths(text)))


def of_plan(environment: Mapping[str, Any]) -> list[str]:
    """Those that the requirements and options of an environment name."""
    words = list(environment["requirements"])
    for each in environment["installs"]:
        words += [*each["options"], *each["requirements"]]
    return list(dict.fromkeys(path for text in words for path in paths(text)))


def paths(text: str) -> Iterator[str]:
    """Of words such as `/wheels`, `name=file:///index`, `numpy<2` or `https://host`, those that are paths here."""
    from urllib.parse import unquote

    for word in re.split(r"[\s,]+", text):
        found = re.match(r"(?:[\w-]+=)?(?:--[\w-]+=)?(?:file://(?:localhost)?)?(/[^#]*)", word)
        if found:
            yield os.path.normpath(unquote(found[1]) if "file://" in word else found[1])


def pip_settings() -> dict[str, str]:
    """What pip's configuration files and variables say of the package index; uv does not read them."""
    import configparser

    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read([path for path in pip_files() if path])
    except configparser.Error:
        return {}
    found = {}
    for name in PIP_TO_UV:
        value = os.environ.get(f"PIP_{name.upper()}", "")
        value = value or parser.get("global", name.replace("_", "-"), fallback="")
        if value.strip():
            found[name] = value
    return found


def pip_files() -> list[str]:
    home = os.path.expanduser("~")
    own = [f"{home}/.pip/pip.conf", f"{home}/.config/pip/pip.conf", os.environ.get("PIP_CONFIG_FILE", "")]
    return ["/etc/xdg/pip/pip.conf", "/etc/pip.conf", *own]


def uv_settings() -> list[str]:
    """Every text in uv's own configuration files."""
    import tomllib

    found: list[str] = []
    for path in settings_files():
        try:
            with open(path, "rb") as file:
                found += texts(tomllib.load(file))
        except (OSError, ValueError):
            continue
    return found


def settings_files() -> list[str]:
    """uv's configuration files: the user's, the machine's, and the one that is named."""
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return [f"{config}/uv/uv.toml", "/etc/uv/uv.toml", os.environ.get("UV_CONFIG_FILE", "")]


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from texts(each)
