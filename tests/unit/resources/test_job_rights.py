"""Whom a signature was made for is read back from its mark, all that a token says of a job."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lazulite.core.arm_id import workspace_id
from lazulite.core.principal import Principal
from lazulite.resources import job_rights

JOB = Principal("ada", "job j", "Job", workspace=workspace_id("s", "g", "W"), birth="7.2030-01-02T03:04:05Z")


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize(("stepping", "key"), [(False, ""), (True, "0f0f")])
@pytest.mark.parametrize("whose", ["run", "behalf_of"])
def test_the_mark_of_a_job_says_what_its_token_claims(whose: str, stepping: bool, key: str, ends: bool) -> None:
    job = replace(JOB, **{whose: "j"}, stepping=stepping, key=key)
    given = job_rights.holder(job, "t", ends=ends)
    assert job_rights.marked("ada", given.mark) == job
    assert (job_rights.only_ends(given.mark), job_rights.salt(given.mark)) == (ends, given.salt)


def test_the_mark_of_a_person_is_that_of_the_persons_key() -> None:
    given = job_rights.holder(Principal("ada", "ada", "User", key="0f0f"), "t")
    found = job_rights.marked("ada", given.mark)
    assert found is not None
    assert (found.id, found.key, found.job, given.salt != "") == ("ada", "0f0f", None, True)


@pytest.mark.parametrize("text", ["", "a", "a/b", "a/b/c"])
def test_a_mark_that_was_not_made_here_is_nobodys(text: str) -> None:
    assert job_rights.marked("ada", text) is None
