"""Who makes a call."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Principal:
    """The bearer of a verified token.

    A job's token has `run` and `workspace`, and reaches that run and that workspace and nothing else. One that a job has
    on behalf of its submitter has `behalf_of` (the job) and `workspace`, and reaches what the submitter does. Both end with
    the job; with `stepping`, a person holds it by hand, who steps into a job say, and it ends with that person's key.
    """

    id: str
    name: str
    kind: str  # User | ServicePrincipal | Job
    audience: str = ""
    run: str | None = None
    workspace: str | None = None  # ARM id
    #: Tells the workspace from one that is made later under its id.
    birth: str = ""
    behalf_of: str | None = None
    stepping: bool = False
    #: A mark of the key that the token was got with; a job's token has none.
    key: str = ""
    #: Seconds since the epoch; 0 where no token says so.
    expires: float = 0.0

    @property
    def job(self) -> str | None:
        """The job that the token was made for, whichever rights it has."""
        return self.run or self.behalf_of


def job_refusal(job: str, what: str) -> str:
    """Why a job's token may not do something: the rule that all gateways hold it to."""
    return (
        f"The token of job '{job}' may not {what}. It may write to its own run, to its children and the jobs that it is "
        "a step of, to the places of its outputs, and make new assets; nothing that is registered is deleted or changed "
        "by it but descriptions, tags and stages."
    )
