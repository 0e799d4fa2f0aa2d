"""The `lazulite` command: starts and stops a server, says how to reach it, and points other programs to it.

It speaks HTTP to a server and starts one as a separate process; it never imports the server or the rooms behind it,
and it imports nothing slow, because people wait for it at a prompt.
"""
