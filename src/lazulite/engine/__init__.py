"""What makes things move: level-triggered loops over jobs and computes, behind one `Engine`.

Reads everything, decides with pure functions, acts, and says when to look again. It writes status and never spec, never
answers a client, and keeps nothing in memory that the next server would miss.
"""

from lazulite.engine.engine import Engine
from lazulite.engine.settings import EngineSettings, Tokens

__all__ = ["Engine", "EngineSettings", "Tokens"]
