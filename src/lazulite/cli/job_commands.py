"""What can be typed after `lazulite job`."""

from __future__ import annotations

from typing import Any

from lazulite.cli import debug, job
from lazulite.cli.parser import add_command, add_workspace, port


def add_job(commands: Any) -> None:
    group = add_command(commands, "job", None, "step into a job, or run it again", home=False)
    verbs = group.add_subparsers(title="commands", metavar="COMMAND")
    again = add_command(
        verbs,
        "rerun",
        job.rerun,
        "run a job again",
        description="Run a job again and print the new one's name. Of a pipeline, the steps that completed are taken\n"
        "over, so that it begins with those that failed; with --from, those that do not depend on that node are.",
        examples="  lazulite job rerun brave_fig_12                       from the steps that failed\n"
        "  lazulite job rerun brave_fig_12 --from train          from a step that completed\n"
        "  lazulite job rerun brave_fig_12 --from prepare/clean  from a step of a nested pipeline",
    )
    again.add_argument("name", metavar="NAME")
    again.add_argument("--from", dest="node", metavar="NODE", help="the node of the pipeline to begin with")
    inside = add_command(
        verbs,
        "debug",
        debug.debug,
        "step into a job",
        description="Open a shell in a job's environment, working directory, inputs and variables, or run a command\n"
        "there: `-- CMD`, after the options. What it writes goes to a scratch folder; the job itself is left as it is.\n"
        "The exit code is the shell's or the command's.",
        examples="  lazulite job debug brave_fig_12                       a shell in a finished or failed job\n"
        "  lazulite job debug brave_fig_12 --node train          in a step of a pipeline\n"
        "  lazulite job debug brave_fig_12 --node prepare/clean  in a step of a nested pipeline\n"
        "  lazulite job debug clever_ant_3 --node 7              in a trial of a sweep\n"
        "  lazulite job debug brave_fig_12 --node train -- 'python -m pdb train.py --data ${{inputs.data}}'\n"
        "  lazulite job debug brave_fig_12 --node train --debugpy 5678",
    )
    inside.add_argument("name", metavar="NAME")
    inside.add_argument("--node", metavar="NODE", help="the step of the pipeline, or the trial of the sweep")
    inside.add_argument(
        "--debugpy",
        type=port,
        nargs="?",
        const=5678,
        metavar="PORT",
        help="have the Python program wait for a debugger on this port; 0 picks a free one (5678)",
    )
    inside.set_defaults(command=[])
    for parser in (again, inside):
        add_workspace(parser)
