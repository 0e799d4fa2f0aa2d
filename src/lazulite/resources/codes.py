"""Code snapshots: uploaded once, found again by the hash of their content."""

from __future__ import annotations

from lazulite.core import arm_id
from lazulite.core.errors import validation
from lazulite.model import wire
from lazulite.resources import assets, datastores, job_rights, workspaces
from lazulite.resources.declaration import Action, Answer, Call, Reading, ResourceType, Shape, Write
from lazulite.store import resources
from lazulite.store.resources import Resource

_UPLOAD_HOURS = 12


def prepare(write: Write) -> None:
    assets.follow(write, "codeUri")
    assets.prepare(write, ("codeUri",), "Code asset")
    if not isinstance(write.properties.get("codeUri"), str):
        raise validation("A code asset needs properties.codeUri, the address its files were uploaded to.", "codeUri")
    digest = write.properties["properties"].get("hash_sha256")
    if not isinstance(digest, str | None):
        raise validation("hash_sha256 must be a text.", "properties.properties.hash_sha256")
    write.label = digest


def by_hash(reading: Reading, container: str) -> list[Resource] | None:
    """`?hash=` asks for that content under any name: the SDK's own name is new each time."""
    wanted = reading.query.get("hash")
    if wanted is None:
        return None
    home = arm_id.asset_home(container)
    type_ = f"{arm_id.parse(container).type}/versions"
    return resources.labelled(reading.connection, home, type_, wanted)


def start_pending_upload(call: Call) -> Answer:
    """A container of its own to upload into, and a SAS for it."""
    return pending_upload(call, arm_id.workspace_of(call.resource.id), f"code-{call.resource.id.rsplit('/', 3)[1]}")


def pending_upload(reading: Call, workspace_id: str, container: str) -> Answer:
    account = workspaces.storage_account(reading, workspace_id)
    name = container.lower()[:63].strip("-")
    key = datastores.account_key(reading, account)
    token = job_rights.container_sas(reading, account, key, name, _UPLOAD_HOURS)
    public = reading.services.storage.public_account(account)
    uri = f"https://{public}.blob.core.windows.net/{name}"
    reading.after.append(lambda: reading.services.storage.ensure(account, [name], []))
    return Answer(
        200,
        {
            "pendingUploadId": name,
            "pendingUploadType": "TemporaryBlobReference",
            "blobReferenceForConsumption": {
                "blobUri": uri,
                "storageAccountArmId": account,
                "credential": {"credentialType": "SAS", "sasUri": f"{uri}?{token}"},
            },
        },
    )


TYPE = ResourceType(
    collection="workspaces/codes",
    operations="CodeVersions",
    wire=wire.Code,
    shape=Shape.VERSIONED,
    prepare=prepare,
    view=assets.view,
    select=by_hash,
    actions=(Action("startPendingUpload", start_pending_upload, "create_or_get_start_pending_upload", absent=True),),
)
