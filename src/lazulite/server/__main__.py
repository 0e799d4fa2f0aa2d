"""`python -m lazulite.server`: run a server in the foreground. `lazulite up` is the friendly way to it."""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys

from lazulite.core.trouble import is_full, trouble
from lazulite.server.home import HomeInUse
from lazulite.server.listener import PortTaken
from lazulite.server.process import serve
from lazulite.server.settings import SettingsError, load
from lazulite.store.database import DatabaseUnusable
from lazulite.store.schema import WrongSchema


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="lazulite-server", description=__doc__)
    parser.add_argument("--home", help="the folder the server lives in (default: LAZULITE_HOME, else ~/.lazulite)")
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, help="TLS port, 0 picks a free one (default: 8443)")
    parser.add_argument("--http-port", type=int, help="plain HTTP port on loopback, 0 picks a free one (default: 8080)")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    try:
        serve(load(vars(parser.parse_args(arguments))))
    except Exception as error:
        code = _exit_code(error)
        if code is None:
            raise
        with contextlib.suppress(OSError):  # what is written here may lie on the full disk
            print(f"lazulite: {_told(error)}", file=sys.stderr)
        return code
    return 0


def _exit_code(error: Exception) -> int | None:
    """None where the server failed by a fault of its own. `lazulite up` says more for each."""
    if is_full(error):
        return 6
    return next((code for kind, code in _EXIT_CODES.items() if isinstance(error, kind)), None)


def _told(error: Exception) -> str:
    if isinstance(error, HomeInUse):
        return f"a server runs on {error} already"
    if isinstance(error, PermissionError):
        return f"{error.filename} cannot be used: {error.strerror}"
    found = trouble(error)
    return found.message if found is not None and not isinstance(error, DatabaseUnusable) else str(error)


_EXIT_CODES: dict[type[Exception], int] = {
    SettingsError: 2,
    WrongSchema: 2,
    HomeInUse: 3,
    PortTaken: 4,
    DatabaseUnusable: 5,
    PermissionError: 5,
}


if __name__ == "__main__":
    sys.exit(main())
