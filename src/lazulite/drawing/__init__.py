"""Pictures of pipelines: from the documents of jobs and runs to a tree of text, an SVG or a page. Pure.

`state` reads what there is, `fold` groups what is alike, `layout` places it, `tree`, `svg` and `page` write it down. The
command line and the server hand in the documents. Must not do I/O, ask a server, or trust a text that a user wrote.
"""
