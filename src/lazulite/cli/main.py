"""The command line: what can be typed, and how mistakes are answered."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from lazulite import __version__
from lazulite.cli import env, init, kernel, principal, run, shells, status, ui, up
from lazulite.cli.errors import FAILED, INTERRUPTED, OK, CommandError
from lazulite.cli.job_commands import add_job
from lazulite.cli.parser import Help, add_command, add_workspace, port
from lazulite.cli.registry import add_registry
from lazulite.core.command_line import RESOURCE_GROUP, SUBSCRIPTION, WORKSPACE


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 wrong usage, 3 no server is running."""
    parser = build_parser()
    words, inner = cut(sys.argv[1:] if arguments is None else list(arguments))
    given = parser.parse_args(words)
    if inner:
        given.command = inner
    if not hasattr(given, "function"):
        given.parser.print_help()
        return OK
    try:
        return int(given.function(given))
    except CommandError as error:
        print(f"lazulite: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"  -> {error.hint}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone; without this the interpreter complains once more at exit.
        sys.stderr.close()
        return FAILED


def cut(words: list[str]) -> tuple[list[str], list[str]]:
    """Apart, what follows `--` of a command whose options may stand after its name: argparse would take them too."""
    if words[:2] != ["job", "debug"] or "--" not in words:
        return words, []
    at = words.index("--")
    return words[:at], words[at + 1 :]


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lazulite",
        description="Azure Machine Learning on your own machines.",
        formatter_class=Help,
        epilog=_EXAMPLES,
    )
    parser.add_argument("--version", action="version", version=f"lazulite {__version__}")
    parser.set_defaults(parser=parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_up(commands)
    _add_down(commands)
    _add_status(commands)
    _add_env(commands)
    _add_run(commands)
    _add_ui(commands)
    _add_init(commands)
    add_job(commands)
    add_registry(commands)
    _add_kernel(commands)
    _add_principal(commands)
    add_command(commands, "version", _version, "print the version", home=False)
    return parser


_EXAMPLES = """\
examples:
  lazulite up --detach                 start a server in the background
  eval "$(lazulite env)"               point this shell's clients to it
  lazulite init                        write config.json for MLClient.from_config
  lazulite run -- python train.py      or do all of that for one command
  lazulite ui                          open MLflow's pages in a browser
  lazulite down                        stop it; everything is kept

A server lives in a home folder: --home, else LAZULITE_HOME, else ~/.lazulite."""


def _add_up(commands: Any) -> None:
    parser = add_command(
        commands,
        "up",
        up.up,
        "start a server",
        description="Start a server and print its addresses. It runs until Ctrl-C, or in the background with --detach.\n"
        "The first start makes a workspace, a user key and a certificate authority in the home folder.",
        examples="  lazulite up\n  lazulite up --detach\n  lazulite up --port 0 --http-port 0 --home /tmp/try",
    )
    parser.add_argument("--port", type=port, metavar="N", help="port of the API, over TLS; 0 picks a free one (8443)")
    parser.add_argument(
        "--http-port", type=port, metavar="N", help="plain HTTP port, loopback only; 0 picks one (8080)"
    )
    parser.add_argument("--host", metavar="H", help="address to listen on with TLS (127.0.0.1: this machine only)")
    parser.add_argument("--detach", "-d", action="store_true", help="leave it running in the background")


def _add_down(commands: Any) -> None:
    add_command(
        commands,
        "down",
        up.down,
        "stop the server",
        description="Stop the server. Nothing is lost: `up` brings everything back, and jobs that run go on meanwhile.",
    )


def _add_status(commands: Any) -> None:
    parser = add_command(
        commands,
        "status",
        status.status,
        "say whether a server is running, and where",
        examples="  lazulite status\n  lazulite status --json\n\nexit code: 0 running, 3 not running",
    )
    parser.add_argument("--json", action="store_true", help="as JSON")


def _add_env(commands: Any) -> None:
    parser = add_command(
        commands,
        "env",
        env.env,
        "print the variables that point clients to the server",
        description="Print the environment variables with which unmodified Azure ML, MLflow and Blob clients come to\n"
        "the running server. Variables of real Azure that would win over them are unset. MLflow logs to the workspace named.",
        examples='  eval "$(lazulite env)"\n  lazulite env --shell fish | source\n'
        "  lazulite env --shell powershell | Out-String | Invoke-Expression",
    )
    parser.add_argument("--shell", choices=shells.SHELLS, help="whose language to write (default: that of $SHELL)")
    add_workspace(parser)


def _add_run(commands: Any) -> None:
    parser = add_command(
        commands,
        "run",
        run.run,
        "run one command against the server, starting one if none runs",
        description="Run a command with the variables of `lazulite env`. If no server runs on the home, one is started\n"
        "on free ports and stopped afterwards. The command's exit code is passed on.",
        examples="  lazulite run -- python train.py\n  lazulite run --home /tmp/ci -- pytest",
    )
    add_workspace(parser)
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- CMD ...", help="the command and its arguments")


def _add_ui(commands: Any) -> None:
    parser = add_command(
        commands,
        "ui",
        ui.ui,
        "open MLflow's pages in a browser",
        description="Open MLflow's pages of a workspace: experiments, runs, charts, models and traces. The link that is\n"
        "printed signs one browser in as the owner of the home; the server needs the extra mlflow-ui. With --job it opens\n"
        "the page of that job instead (status, error, logs, graph), which needs nothing further.",
        examples="  lazulite ui\n  lazulite ui --job brave_fig_12\n  lazulite ui --workspace mlw-team --group rg-team\n"
        "  lazulite ui --link",
    )
    parser.add_argument("--job", metavar="NAME", help="the page of this job, in place of MLflow's pages")
    parser.add_argument("--link", action="store_true", help="print the link, and open no browser")
    parser.add_argument("--tls", action="store_true", help="over TLS, for a browser that trusts our authority")
    add_workspace(parser)


def _add_init(commands: Any) -> None:
    parser = add_command(
        commands,
        "init",
        init.init,
        "write config.json for MLClient.from_config",
        examples="  lazulite init\n  lazulite init --workspace mlw-team --group rg-team notebooks/",
        home=False,
    )
    parser.add_argument("folder", nargs="?", default=".", metavar="DIR", help="where to write it (default: here)")
    parser.add_argument("--workspace", default=WORKSPACE, metavar="W", help=f"workspace (default: {WORKSPACE})")
    parser.add_argument(
        "--group", default=RESOURCE_GROUP, metavar="G", help=f"resource group (default: {RESOURCE_GROUP})"
    )
    parser.add_argument(
        "--subscription", default=SUBSCRIPTION, metavar="S", help="subscription (default: the server's first)"
    )
    parser.add_argument("--force", action="store_true", help="replace a config.json that says something else")


def _add_kernel(commands: Any) -> None:
    group = add_command(commands, "kernel", None, "notebooks that come to the server", home=False)
    verbs = group.add_subparsers(title="commands", metavar="COMMAND")
    made = add_command(
        verbs,
        "install",
        kernel.install,
        "make a Jupyter kernel",
        description="Make an environment with azure-ai-ml, MLflow and what notebooks of Azure ML use besides, and a\n"
        "Jupyter kernel in it whose notebooks come to the server of this home. The server is started with them if none\n"
        "runs; MLflow logs to the workspace of the config.json beside the notebook.",
        examples="  lazulite kernel install\n"
        "  lazulite kernel install --name python38-azureml --display-name 'Python 3.10 - AzureML'\n"
        "  lazulite kernel install --env .venv        an environment that is there, with ipykernel in it",
    )
    made.add_argument("--name", default="lazulite", metavar="NAME", help="the kernel's name for Jupyter (lazulite)")
    made.add_argument("--display-name", metavar="TITLE", help="what notebooks show (default: Python 3.10 - Lazulite)")
    made.add_argument("--python", default="3.10", metavar="3.N", help="version of Python (3.10)")
    made.add_argument("--package", nargs="+", default=[], metavar="P", help="further packages to install")
    made.add_argument("--env", metavar="DIR", help="take this environment in place of a new one")
    made.add_argument("--prefix", metavar="DIR", help="install into this environment's Jupyter, not the user's")
    add_workspace(made)
    started = add_command(verbs, "start", kernel.start, "what Jupyter calls: run a kernel with the variables set")
    add_workspace(started)
    started.add_argument("command", nargs=argparse.REMAINDER, metavar="-- CMD ...", help="the kernel's command")


def _add_principal(commands: Any) -> None:
    group = add_command(commands, "principal", None, "manage service principals and their roles", home=False)
    verbs = group.add_subparsers(title="commands", metavar="COMMAND")
    made = add_command(
        verbs,
        "create",
        principal.create,
        "make a service principal",
        description="Make a service principal and print the variables with which every client of a shell, MLflow's too, "
        "acts as it. Its secret is shown once.",
        examples="  lazulite principal create ci --role Contributor\n"
        '  eval "$(lazulite principal create viewer --role Reader)"\n'
        "  lazulite principal create ana --role 'AzureML Data Scientist'",
    )
    made.add_argument("name", metavar="NAME")
    made.add_argument("--role", required=True, metavar="ROLE", help="one of: " + ", ".join(principal.ROLES))
    made.add_argument("--scope", metavar="ID", help="ARM id the role holds on (default: everything)")
    _add_form(made)
    rotated = add_command(
        verbs,
        "rotate",
        principal.rotate,
        "replace a principal's key",
        description="Make a new key for a principal. The old one, the tokens got with it and the browsers it signed in are "
        "refused from that moment on; jobs that it submitted go on, with tokens of their own. The key of the home's "
        "owner ('local user') is written into the home: set the variables of every shell again.",
        examples='  eval "$(lazulite principal rotate viewer)"\n  lazulite principal rotate "local user"',
    )
    rotated.add_argument("name", metavar="NAME", help="name or id, as `lazulite principal list` shows them")
    _add_form(rotated)
    listed = add_command(verbs, "list", principal.show, "list principals and their roles")
    listed.add_argument("--json", action="store_true", help="as JSON")
    removed = add_command(
        verbs, "delete", principal.delete, "delete a principal; its key, tokens and jobs' tokens stop working"
    )
    removed.add_argument("id", metavar="ID", help="as `lazulite principal list` shows it")


def _add_form(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--shell", choices=shells.SHELLS, help="whose language to write (default: that of $SHELL)")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument(
        "--json-auth", action="store_true", help="as `az ad sp create-for-rbac --json-auth` prints it, for workflows"
    )


def _version(arguments: argparse.Namespace) -> int:
    print(f"lazulite {__version__}")
    return OK


if __name__ == "__main__":
    sys.exit(main())
