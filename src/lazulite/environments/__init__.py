"""From an Azure ML environment (image, conda file, Dockerfile or a curated name) to a plan that uv can build.

Resolution is pure: it reads the spec, the catalogue and a build context's text files; only `interpreters` looks at the
machine. It must not install anything, reach the network or know about jobs: the agent builds what is planned.
"""
