"""Leases: who may write while one is held, and what becomes of one. Decided without I/O, on a clock that is given."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from lazulite.core.numbers import whole_number
from lazulite.storage.errors import StorageError, invalid_header, missing_header
from lazulite.storage.store import Lease


@dataclass(frozen=True, slots=True)
class LeaseChange:
    """The lease after an action, and the status and headers that answer it."""

    lease: Lease | None
    status: int
    headers: dict[str, str]


def state(lease: Lease | None, now: float) -> str:
    """`available`, `leased`, `breaking`, `broken` or `expired`."""
    if lease is None:
        return "available"
    if lease.broken:
        return "broken"
    if lease.breaks:
        return "breaking" if now < lease.breaks else "broken"
    if lease.expires and now >= lease.expires:
        return "expired"
    return "leased"


def lease_headers(lease: Lease | None, now: float) -> dict[str, str]:
    current = state(lease, now)
    locked = current in ("leased", "breaking")
    headers = {"x-ms-lease-state": current, "x-ms-lease-status": "locked" if locked else "unlocked"}
    if lease is not None and current == "leased":
        headers["x-ms-lease-duration"] = "infinite" if lease.seconds < 0 else "fixed"
    return headers


def check_blob_lease(lease: Lease | None, given: str | None, now: float, *, writing: bool, of: str = "Blob") -> None:
    """Raise StorageError 412 unless a request with the lease id `given` may go on."""
    if lease is None and not given:
        return
    held = state(lease, now) in ("leased", "breaking")
    if given:
        if lease is None or state(lease, now) == "available":
            raise StorageError(f"LeaseNotPresentWith{of}Operation", "The request names a lease, but there is none.")
        if given.lower() != lease.id.lower():
            raise StorageError(
                f"LeaseIdMismatchWith{of}Operation", "The request names another lease than the one held."
            )
        if not held:
            raise StorageError("LeaseLost", "The lease that the request names has ended.")
    elif held and writing:
        raise StorageError("LeaseIdMissing", "There is a lease on this, and the request names none (x-ms-lease-id).")


def change(lease: Lease | None, headers: Mapping[str, str], now: float) -> LeaseChange:
    """Carry out the lease action that the headers ask for. Raises StorageError."""
    action = headers.get("x-ms-lease-action", "").lower()
    if action == "acquire":
        return _acquire(lease, headers, now)
    if action == "break":
        return _break(lease, headers, now)
    if action not in ("renew", "release", "change"):
        raise invalid_header("x-ms-lease-action", action, "it is none of acquire, renew, change, release, break")
    given = headers.get("x-ms-lease-id", "")
    if not given:
        raise missing_header("x-ms-lease-id")
    if lease is None:
        raise StorageError("LeaseNotPresentWithLeaseOperation", "There is no lease.")
    if action == "change":
        return _change(lease, given, headers, now)
    if given.lower() != lease.id.lower():
        raise StorageError("LeaseIdMismatchWithLeaseOperation", "The lease that is held has another id.")
    if action == "release":
        return LeaseChange(None, 200, {})
    return _renew(lease, now)


def _acquire(lease: Lease | None, headers: Mapping[str, str], now: float) -> LeaseChange:
    text = headers.get("x-ms-lease-duration", "")
    if not text:
        raise missing_header("x-ms-lease-duration")
    seconds = -1 if text == "-1" else whole_number(text, 15, 60)
    if seconds is None:
        raise invalid_header("x-ms-lease-duration", text, "it is neither -1 nor between 15 and 60 seconds")
    proposed = _proposed(headers) or str(uuid.uuid4())
    current = state(lease, now)
    if current == "breaking":
        raise StorageError("LeaseIsBreakingAndCannotBeAcquired", "The lease is being broken.")
    if lease is not None and current == "leased" and proposed.lower() != lease.id.lower():
        raise StorageError("LeaseAlreadyPresent", "There is already a lease present.")
    taken = _running(proposed, seconds, now)
    return LeaseChange(taken, 201, {"x-ms-lease-id": taken.id})


def _renew(lease: Lease, now: float) -> LeaseChange:
    if state(lease, now) in ("breaking", "broken"):
        raise StorageError("LeaseIsBrokenAndCannotBeRenewed", "The lease was broken.")
    return LeaseChange(_running(lease.id, lease.seconds, now), 200, {"x-ms-lease-id": lease.id})


def _change(lease: Lease, given: str, headers: Mapping[str, str], now: float) -> LeaseChange:
    proposed = _proposed(headers)
    if not proposed:
        raise missing_header("x-ms-proposed-lease-id")
    if given.lower() not in (lease.id.lower(), proposed.lower()) or (
        given.lower() == proposed.lower() != lease.id.lower()
    ):
        raise StorageError("LeaseIdMismatchWithLeaseOperation", "The lease that is held has another id.")
    current = state(lease, now)
    if current == "breaking":
        raise StorageError("LeaseIsBreakingAndCannotBeChanged", "The lease is being broken.")
    if current != "leased":
        raise StorageError("LeaseNotPresentWithLeaseOperation", "The lease has ended.")
    changed = Lease(proposed, lease.seconds, lease.expires)
    return LeaseChange(changed, 200, {"x-ms-lease-id": proposed})


def _break(lease: Lease | None, headers: Mapping[str, str], now: float) -> LeaseChange:
    text = headers.get("x-ms-lease-break-period", "")
    if text and whole_number(text, 0, 60) is None:
        raise invalid_header("x-ms-lease-break-period", text, "it is not between 0 and 60 seconds")
    if lease is None:
        raise StorageError("LeaseNotPresentWithLeaseOperation", "There is no lease.")
    current = state(lease, now)
    left = 0.0
    if current == "breaking":
        left = lease.breaks - now
    elif current == "leased" and lease.seconds >= 0:
        left = lease.expires - now
    elif current == "leased" and text:
        left = float(text)
    if text:
        left = min(left, float(text))
    broken = Lease(lease.id, lease.seconds, lease.expires, now + left if left > 0 else 0, broken=left <= 0)
    return LeaseChange(broken, 202, {"x-ms-lease-time": str(round(left))})


def _running(lease_id: str, seconds: int, now: float) -> Lease:
    return Lease(lease_id, seconds, now + seconds if seconds > 0 else 0)


def _proposed(headers: Mapping[str, str]) -> str:
    text = headers.get("x-ms-proposed-lease-id", "")
    if text:
        try:
            uuid.UUID(text)
        except ValueError:
            raise invalid_header("x-ms-proposed-lease-id", text, "it is not a GUID") from None
    return text
