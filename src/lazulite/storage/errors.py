"""Azure Storage's refusals: codes, their HTTP status, and the XML they are told in."""

from __future__ import annotations

from xml.sax.saxutils import escape

from lazulite.core.errors import Refusal

STATUS = {
    "AccountIsDisabled": 403,
    "AppendPositionConditionNotMet": 412,
    "AuthenticationFailed": 403,
    "AuthorizationFailure": 403,
    "AuthorizationPermissionMismatch": 403,
    "AuthorizationProtocolMismatch": 403,
    "AuthorizationResourceTypeMismatch": 403,
    "AuthorizationServiceMismatch": 403,
    "AuthorizationSourceIPMismatch": 403,
    "BlobAlreadyExists": 409,
    "BlobImmutableDueToPolicy": 409,
    "BlobNotFound": 404,
    "BlockCountExceedsLimit": 409,
    "CannotVerifyCopySource": 404,
    "ConditionNotMet": 412,
    "ContainerAlreadyExists": 409,
    "ContainerNotFound": 404,
    "CopyIdMismatch": 409,
    "DirectoryNotEmpty": 409,
    "EmptyMetadataKey": 400,
    "FilesystemAlreadyExists": 409,
    "FilesystemNotFound": 404,
    "InfiniteLeaseDurationRequired": 412,
    "InternalError": 500,
    "InvalidAuthenticationInfo": 400,
    "InvalidBlobType": 409,
    "InvalidBlockId": 400,
    "InvalidBlockList": 400,
    "InvalidHeaderValue": 400,
    "InvalidInput": 400,
    "InvalidMd5": 400,
    "InvalidMetadata": 400,
    "InvalidQueryParameterValue": 400,
    "InvalidRange": 416,
    "InvalidResourceName": 400,
    "InvalidUri": 400,
    "InvalidXmlDocument": 400,
    "InvalidXmlNodeValue": 400,
    "LeaseAlreadyPresent": 409,
    "LeaseIdMismatchWithBlobOperation": 412,
    "LeaseIdMismatchWithContainerOperation": 412,
    "LeaseIdMismatchWithLeaseOperation": 409,
    "LeaseIdMissing": 412,
    "LeaseIsBreakingAndCannotBeAcquired": 409,
    "LeaseIsBreakingAndCannotBeChanged": 409,
    "LeaseIsBrokenAndCannotBeRenewed": 409,
    "LeaseLost": 412,
    "LeaseNotPresentWithBlobOperation": 412,
    "LeaseNotPresentWithContainerOperation": 412,
    "LeaseNotPresentWithLeaseOperation": 409,
    "MaxBlobSizeConditionNotMet": 412,
    "Md5Mismatch": 400,
    "MetadataTooLarge": 400,
    "MissingContentLengthHeader": 411,
    "MissingRequiredHeader": 400,
    "MissingRequiredQueryParameter": 400,
    "NoAuthenticationInformation": 401,
    "NoPendingCopyOperation": 409,
    "NotImplemented": 501,
    "OutOfRangeInput": 400,
    "OutOfRangeQueryParameterValue": 400,
    "ParentNotFound": 404,
    "PathAlreadyExists": 409,
    "PathConflict": 409,
    "PathNotFound": 404,
    "PublicAccessNotPermitted": 409,
    "RequestBodyTooLarge": 413,
    "ResourceNotFound": 404,
    "ResourceAlreadyExists": 409,
    "ResourceTypeMismatch": 409,
    "ShareAlreadyExists": 409,
    "ShareNotFound": 404,
    "UnsupportedHeader": 400,
    "UnsupportedHttpVerb": 405,
    "InvalidOperation": 409,
}


_BY_STATUS = {400: "InvalidResourceName", 404: "ResourceNotFound", 409: "PathConflict"}


class StorageError(Refusal):
    """A refusal. `code` is one of `STATUS`; the message names the cause and goes to the client."""

    def __init__(self, code: str, message: str, *, headers: dict[str, str] | None = None, status: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.status = status or STATUS[code]
        self.headers = headers or {}

    @staticmethod
    def of(refusal: Refusal) -> StorageError:
        """A refusal of another room, under the nearest of Azure Storage's codes."""
        if isinstance(refusal, StorageError):
            return refusal
        code = refusal.code if refusal.code in STATUS else _BY_STATUS.get(refusal.status, "InvalidInput")
        return StorageError(code, refusal.message, status=refusal.status)

    def xml(self) -> bytes:
        """The body that Azure Storage sends with a refusal."""
        text = escape("".join(c for c in self.message if c >= " " or c in "\n\t"))
        return (
            f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{self.code}</Code><Message>{text}</Message></Error>'
        ).encode("utf-8", "replace")


def invalid_header(name: str, value: str, why: str) -> StorageError:
    return StorageError("InvalidHeaderValue", f"The value '{value}' of the header {name} cannot be used: {why}.")


def missing_header(name: str) -> StorageError:
    return StorageError("MissingRequiredHeader", f"The header {name} is required for this operation.")


def invalid_query(name: str, value: str, why: str) -> StorageError:
    return StorageError(
        "InvalidQueryParameterValue", f"The value '{value}' of the query parameter {name} cannot be used: {why}."
    )


def not_built(operation: str) -> StorageError:
    return StorageError("NotImplemented", f"{operation} is not built in this version of Lazulite.")
