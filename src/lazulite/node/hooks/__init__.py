"""What surrounds the user's process, one named step a file, in the order that `agent.py` lists them.

A hook reads the plan, does its part, and leaves in the `Run` what later hooks need. Each may be repeated.
"""
