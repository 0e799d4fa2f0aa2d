"""A picture as a page: the SVG, and how to step into what failed. It loads nothing and runs no script."""

from __future__ import annotations

import datetime as dt
import itertools
import shlex
from html import escape

from lazulite.drawing import svg
from lazulite.drawing.state import Picture
from lazulite.drawing.words import printable

_REFRESH_S = 3
#: Steps that are read in about a second: the page of a larger pipeline loads itself less often.
_A_SECOND = 500
_FAILURES = 20
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">{refresh}
<title>{title} · Lazulite</title>
<style>
  :root {{ color-scheme: light dark; font: 15px/1.5 system-ui, "Segoe UI", sans-serif; }}
  body {{ margin: 0 auto; padding: 0 1rem 3rem; max-width: 110rem; }}
  .picture {{ overflow-x: auto; }}
  .picture svg {{ display: block; margin: 0 auto; max-width: 100%; height: auto; }}
  @media (prefers-color-scheme: dark) {{ body {{ background: #0d1117; }} }}
  section {{ max-width: 60rem; margin: 2rem auto 0; }}
  h2 {{ font-size: 1.1rem; }}
  pre {{ padding: .8rem 1rem; border: 1px solid #8884; border-radius: 6px; background: #8881; }}
  pre {{ white-space: pre-wrap; overflow-wrap: anywhere; }}
</style>
<div class="picture">
{picture}</div>
<section>
<h2>{heading}</h2>
<pre><code>{commands}</code></pre>
</section>
</html>
"""


def write(picture: Picture, now: dt.datetime, options: str = "") -> str:
    """The page, which loads itself again until the job is over. `options` follow each command that it names."""
    commands = next_commands(picture, options)
    wait = max(_REFRESH_S, sum(picture.tally().values()) // _A_SECOND)
    return _PAGE.format(
        refresh="" if picture.over else f'<meta http-equiv="refresh" content="{wait}">',
        title=escape(printable(picture.title)),
        picture=svg.draw(picture, now),
        heading="Step into what failed" if any(picture.graph.failed()) else "The same on a terminal",
        commands=escape("\n".join(commands)),
    )


def next_commands(picture: Picture, options: str = "") -> list[str]:
    """What to type next."""
    name = shlex.quote(picture.name)
    failures = list(itertools.islice(picture.graph.failed(), _FAILURES))
    if failures:
        commands = [
            # A job that is no pipeline has itself for its only step.
            f"lazulite job debug {name}" + (f" --node {shlex.quote(path)}" if node.run != picture.name else "")
            for path, node in failures
        ]
    else:
        commands = [f"lazulite job graph {name}", f"lazulite job logs {name}"]
    if failures or (picture.over and picture.state != "Completed"):
        commands.append(f"lazulite job rerun {name}")
    return [f"{printable(command)}{options}" for command in commands]
