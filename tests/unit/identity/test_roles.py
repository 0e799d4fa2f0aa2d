from __future__ import annotations

import pytest

from lazulite.identity.roles import BUILT_IN, JOB, named

_ML = "Microsoft.MachineLearningServices"


@pytest.mark.parametrize(
    ("role", "action", "allowed"),
    [
        ("Owner", "Microsoft.Authorization/roleAssignments/write", True),
        ("Contributor", "Microsoft.Authorization/roleAssignments/write", False),
        ("Contributor", f"{_ML}/workspaces/delete", True),
        ("Reader", f"{_ML}/workspaces/jobs/read", True),
        ("Reader", f"{_ML}/workspaces/jobs/write", False),
        ("Reader", f"{_ML}/workspaces/listKeys/action", False),
        ("AzureML Data Scientist", f"{_ML}/workspaces/jobs/write", True),
        ("AzureML Data Scientist", f"{_ML}/workspaces/computes/write", False),
        ("AzureML Data Scientist", f"{_ML}/workspaces/write", False),
        ("AzureML Data Scientist", f"{_ML}/workspaces/listKeys/action", False),
        ("reader", f"{_ML}/WORKSPACES/JOBS/READ", True),
    ],
)
def test_built_in_roles(role: str, action: str, allowed: bool) -> None:
    found = named(role)
    assert found is not None
    assert found.allows(action) is allowed


def test_roles_are_found_by_name_and_definition_id() -> None:
    for role in BUILT_IN:
        assert named(role.id) is role
        assert named(f"/subscriptions/x/providers/Microsoft.Authorization/roleDefinitions/{role.id}") is role
    assert named("Ownr") is None


def test_a_job_reads_and_tracks_and_changes_no_compute() -> None:
    assert JOB.allows(f"{_ML}/workspaces/experiments/runs/write")
    assert JOB.allows(f"{_ML}/workspaces/data/versions/read")
    assert not JOB.allows(f"{_ML}/workspaces/computes/write")
    assert not JOB.allows(f"{_ML}/workspaces/delete")
    assert not JOB.allows(f"{_ML}/workspaces/listKeys/action")


def test_registry_user_handles_assets_and_makes_no_registry() -> None:
    user = named("AzureML Registry User")
    assert user is not None
    for action in ("registries/read", "registries/assets/read", "registries/assets/write", "registries/assets/delete"):
        assert user.allows(f"{_ML}/{action}")
    for action in ("registries/write", "registries/delete", "workspaces/read"):
        assert not user.allows(f"{_ML}/{action}")
