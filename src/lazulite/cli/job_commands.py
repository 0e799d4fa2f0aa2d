"""What can be typed after `lazulite job`."""

from __future__ import annotations

import argparse
from typing import Any

from lazulite.cli import debug, job, job_graph, job_logs
from lazulite.cli.parser import add_command, add_workspace, port
from lazulite.core.numbers import whole_number

_STEP = "the step of the pipeline, or the trial of the sweep: `train`, `prepare/clean`, `body[2]`"


def add_job(commands: Any) -> None:
    group = add_command(
        commands,
        "job",
        None,
        "look at jobs, step into one, or run it again",
        examples="  lazulite job list                              the newest jobs\n"
        "  lazulite job graph brave_fig_12                which step of a pipeline failed, and why\n"
        "  lazulite job logs brave_fig_12 --node train    what the step wrote\n"
        "  lazulite job debug brave_fig_12 --node train   a shell where it ran; with --pdb, the line where it failed\n"
        "  lazulite job rerun brave_fig_12 --from train   once more, from there",
        home=False,
    )
    verbs = group.add_subparsers(title="commands", metavar="COMMAND")
    for add in (_add_list, _add_show, _add_graph, _add_logs, _add_debug, _add_rerun, _add_cancel):
        add_workspace(add(verbs))


def _add_list(verbs: Any) -> argparse.ArgumentParser:
    parser = add_command(
        verbs,
        "list",
        job.show_list,
        "list the newest jobs",
        examples="  lazulite job list\n  lazulite job list --max 100 --experiment prices\n  lazulite job list -o json",
    )
    parser.add_argument("--max", type=_count, default=20, metavar="N", help="how many at most (20)")
    parser.add_argument("--experiment", metavar="E", help="those of one experiment")
    _add_output(parser)
    return parser


def _add_show(verbs: Any) -> argparse.ArgumentParser:
    parser = add_command(
        verbs,
        "show",
        job.show,
        "show a job: its state, error, inputs and outputs",
        examples="  lazulite job show brave_fig_12\n  lazulite job show brave_fig_12 --node train\n"
        "  lazulite job show brave_fig_12 -o json",
    )
    _add_step(parser)
    _add_output(parser)
    return parser


def _add_graph(verbs: Any) -> argparse.ArgumentParser:
    parser = add_command(
        verbs,
        "graph",
        job_graph.graph,
        "draw a pipeline or a sweep",
        description="Draw a pipeline with the states of its steps: on the terminal, or with -o as a picture in one file\n"
        "that needs nothing else. Steps that are alike are drawn as one where there are many. With --watch the exit code\n"
        "says whether the job completed.",
        examples="  lazulite job graph brave_fig_12\n  lazulite job graph brave_fig_12 --watch\n"
        "  lazulite job graph brave_fig_12 -o graph.svg --depth 3",
    )
    parser.add_argument("name", metavar="NAME")
    parser.add_argument(
        "--output", "-o", metavar="FILE", help="a picture: FILE.svg, or FILE.html with what to type next"
    )
    parser.add_argument("--depth", type=_depth, default=2, metavar="N", help="how deep nested pipelines are opened (2)")
    parser.add_argument("--watch", action="store_true", help="draw it again and again until it is over")
    return parser


def _add_logs(verbs: Any) -> argparse.ArgumentParser:
    parser = add_command(
        verbs,
        "logs",
        job_logs.logs,
        "print what a job wrote",
        description="Print what a job's process wrote; of a pipeline, what became of its steps; of a job that never began,\n"
        "how its environment was built. With -f the exit code says whether the job completed.",
        examples="  lazulite job logs brave_fig_12 -f\n  lazulite job logs brave_fig_12 --node prepare/clean\n"
        "  lazulite job logs brave_fig_12 --node train --list\n"
        "  lazulite job logs brave_fig_12 --node train --file system_logs/agent.log",
    )
    _add_step(parser)
    parser.add_argument("--follow", "-f", action="store_true", help="go on until the job is over")
    parser.add_argument("--file", metavar="LOG", help="another of its logs")
    parser.add_argument("--list", action="store_true", help="only list its logs")
    return parser


def _add_cancel(verbs: Any) -> argparse.ArgumentParser:
    parser = add_command(
        verbs,
        "cancel",
        job.cancel,
        "cancel a job, and print the state it is in",
        examples="  lazulite job cancel brave_fig_12\n  lazulite job cancel brave_fig_12 --node train",
    )
    _add_step(parser)
    return parser


def _add_rerun(verbs: Any) -> argparse.ArgumentParser:
    parser = add_command(
        verbs,
        "rerun",
        job.rerun,
        "run a job again",
        description="Run a job again and print the new one's name. Of a pipeline, the steps that completed are taken\n"
        "over, so that it begins with those that failed; with --from, those that do not depend on that node are. Code and\n"
        "inputs are those of the first time: after a change of code, submit the pipeline again, and what did not change is\n"
        "not run again.",
        examples="  lazulite job rerun brave_fig_12                       from the steps that failed\n"
        "  lazulite job rerun brave_fig_12 --from train          from a step that completed\n"
        "  lazulite job rerun brave_fig_12 --from prepare/clean  from a step of a nested pipeline",
    )
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--from", dest="node", metavar="NODE", help="the node of the pipeline to begin with")
    return parser


def _add_debug(verbs: Any) -> argparse.ArgumentParser:
    parser = add_command(
        verbs,
        "debug",
        debug.debug,
        "step into a job",
        description="Open a shell in a job's environment, working directory, inputs and variables, or run a command\n"
        "there: `-- CMD`, after the options, or --run for the job's own. What it writes goes to a scratch folder; the job\n"
        "itself is left as it is. The exit code is the shell's or the command's.",
        examples="  lazulite job debug brave_fig_12                       a shell in a finished or failed job\n"
        "  lazulite job debug brave_fig_12 --node train          in a step of a pipeline\n"
        "  lazulite job debug brave_fig_12 --node prepare/clean  in a step of a nested pipeline\n"
        "  lazulite job debug clever_ant_3 --node 7              in a trial of a sweep\n"
        "  lazulite job debug brave_fig_12 --node train -- 'head ${{inputs.data}}/a.csv'\n"
        "  lazulite job debug brave_fig_12 --node train --pdb    where it failed, in Python's own debugger\n"
        "  lazulite job debug brave_fig_12 --node train --debugpy 5678\n"
        "  lazulite job debug brave_fig_12 --node train --code src/train --run  its command, with code as it is here now",
    )
    _add_step(parser)
    debuggers = parser.add_mutually_exclusive_group()
    debuggers.add_argument(
        "--debugpy",
        type=port,
        nargs="?",
        const=5678,
        metavar="PORT",
        help="have the Python program wait for a debugger on this port; 0 picks a free one (5678)",
    )
    debuggers.add_argument("--pdb", action="store_true", help="run the Python program, and stop in pdb where it fails")
    parser.add_argument("--code", metavar="DIR", help="take this folder in place of the code that was submitted")
    parser.add_argument("--run", action="store_true", help="run the job's own command")
    parser.set_defaults(command=[])
    return parser


def _add_step(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the job")
    parser.add_argument("--node", metavar="NODE", help=_STEP)


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output", "-o", choices=("table", "json"), default="table", help="json: as the REST API has it"
    )


def _count(text: str) -> int:
    return _number(text, 1)


def _depth(text: str) -> int:
    return _number(text, 0)


def _number(text: str, least: int) -> int:
    found = whole_number(text, least)
    if found is None:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from {least}")
    return found
