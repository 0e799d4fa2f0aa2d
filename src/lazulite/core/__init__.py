"""Words without I/O that every room shares: ARM ids, errors, the clock, names.

Imports nothing of ours. Must not read files, the environment or the network (`paths` opens what it is given, nothing else).
"""
