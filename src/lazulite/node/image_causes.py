"""Why an image could not be pulled or built, in a sentence that says what to do. Pure."""

import re


def of_pull(reference: str, engine: str, said: str) -> str:
    """The message of a failed pull."""
    return f"The image {reference} could not be pulled by {engine}. {pull_cause(reference, engine, said)}"


def of_build(environment: str, engine: str, said: str) -> str:
    """The message of a failed build."""
    head = f"The image of environment {environment} could not be built by {engine}."
    base = re.search(r"(?:FROM|from) (?P<base>\S+)", said)
    if base and re.search(PULLING, said, re.IGNORECASE):
        return f"{head} Its base image {base['base']}: {pull_cause(base['base'], engine, said)}"
    steps = re.findall(r"^(?:STEP|Step) \d+/\d+ ?: (.+)$", said, re.MULTILINE)
    if steps:
        return f"{head} The step '{steps[-1][:200]}' failed: correct the Dockerfile or the build context."
    return f"{head} Correct the Dockerfile or the build context."


def pull_cause(reference: str, engine: str, said: str) -> str:
    host = reference.partition("/")[0]
    for pattern, sentence in CAUSES:
        if re.search(pattern, said, re.IGNORECASE):
            return sentence.format(reference=reference, host=host, engine=engine)
    return f"Check its name, or put it on this machine: {engine} load."


PULLING = r"initializing source|failed to resolve|pull access denied|manifest unknown|short-name|error pulling"
CAUSES = (
    (
        r"manifest unknown|manifest for \S+ not found|name unknown|repository \S+ not found",
        "The registry {host} has no such image or tag: correct the name.",
    ),
    (
        r"unauthorized|authentication required|access denied|access to the resource is denied|\b40[13]\b",
        "The registry {host} refuses it: sign in with '{engine} login {host}', or correct the name.",
    ),
    (
        r"no such host|dial tcp|connection refused|timeout|deadline exceeded|network is unreachable|x509",
        "The registry could not be reached from this machine: check the network, or put the image here beforehand "
        "('{engine} load' of what '{engine} save' wrote elsewhere), or set runtime = \"process\".",
    ),
    (r"short-name|unqualified-search", "Name its registry: docker.io/library/{reference}."),
    (r"no space left on device", "The disk is full."),
    (r"no image found in manifest list for architecture", "There is none for this machine's kind of processor."),
)
