"""The one place where state lives: resources (desired and observed), runs, secrets, operations and events.

SQLite or PostgreSQL behind SQLAlchemy Core. Holds no business rule, never touches the network and never calls a
backend: whoever writes does it inside `Database.write`, and is answered once the write is durable.
"""

# First of all: the other modules of tables import its `metadata`, and it imports them, whoever is asked for first.
from lazulite.store import tables as tables
