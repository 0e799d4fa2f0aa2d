"""One file per resource type: a declaration of what differs, with its rules and actions.

Whatever is the same for all (verbs, paging, ETag, authorisation, errors) is written once in `api`. Functions here run
inside the caller's transaction: they read and write the store and never wait for anything else.
"""
