"""`python -m lazulite.server`: run a server in the foreground. `lazulite up` is the friendly way to it."""

from __future__ import annotations

import argparse
import logging
import sys

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
    except HomeInUse as error:
        print(f"lazulite: a server runs on {error} already", file=sys.stderr)
        return 3
    except PortTaken as error:
        print(f"lazulite: {error}", file=sys.stderr)
        return 4
    except (SettingsError, DatabaseUnusable, WrongSchema) as error:
        print(f"lazulite: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
