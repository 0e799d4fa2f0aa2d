"""What Azure answers per region: VM sizes, usages, quotas. Nothing here is limited but by the machine."""

from __future__ import annotations

from collections import Counter

from sqlalchemy.engine import Connection
from starlette.requests import Request
from starlette.responses import Response

from lazulite.api.context import ApiContext
from lazulite.core.arm_id import PROVIDER
from lazulite.core.errors import validation
from lazulite.core.web import JsonResponse, Route, json_body, principal
from lazulite.resources import computes, vm_sizes
from lazulite.store import resources
from lazulite.store.resources import Json

_PATH = "/subscriptions/{subscription}/providers/" + PROVIDER + "/locations/{location}"
#: Azure has no word for "as much as the machine gives"; this is what unset quotas report.
_UNLIMITED = 1_000_000
_QUOTA_TYPE = f"{PROVIDER}/quotas"


def routes(context: ApiContext) -> list[Route]:
    async def sizes(request: Request) -> Response:
        return JsonResponse({"value": [vm_sizes.document(size) for size in vm_sizes.ALL]})

    async def usages(request: Request) -> Response:
        subscription, location = request.path_params["subscription"], request.path_params["location"]
        used = await context.database.read(lambda c: _cores_in_use(c, subscription))
        families = sorted({size.family for size in vm_sizes.ALL})
        value = [_usage(subscription, location, family, used[family.lower()]) for family in families]
        return JsonResponse({"value": value, "nextLink": None})

    async def quotas(request: Request) -> Response:
        return JsonResponse({"value": await context.database.read(lambda c: _quotas(c, request)), "nextLink": None})

    async def update_quotas(request: Request) -> Response:
        body = await json_body(request)
        by = principal(request).name
        return JsonResponse({"value": await context.database.write(lambda c: _update(c, request, body, by))})

    return [
        Route("GET", _PATH + "/vmSizes", f"{PROVIDER}/locations/vmSizes/read", sizes, "VirtualMachineSizes.list"),
        Route("GET", _PATH + "/usages", f"{PROVIDER}/locations/usages/read", usages, "Usages.list"),
        Route("GET", _PATH + "/quotas", f"{PROVIDER}/locations/quotas/read", quotas, "Quotas.list"),
        Route(
            "POST",
            _PATH + "/updateQuotas",
            f"{PROVIDER}/locations/updateQuotas/action",
            update_quotas,
            "Quotas.update",
        ),
    ]


def _cores_in_use(connection: Connection, subscription: str) -> Counter[str]:
    used: Counter[str] = Counter()
    for row in resources.under(connection, f"/subscriptions/{subscription}", computes.TYPE.type):
        size = vm_sizes.find(str(row.properties.get("properties", {}).get("vmSize", "")))
        if size is None:
            continue
        nodes = len(row.status.get("nodes", [])) if row.properties["computeType"] == computes.CLUSTER else 1
        used[size.family.lower()] += nodes * size.vcpus
    return used


def _usage(subscription: str, location: str, family: str, used: int) -> Json:
    return {
        "id": f"/subscriptions/{subscription}/providers/{PROVIDER}/locations/{location}/usages/{family}",
        "type": f"{PROVIDER}/usages",
        "amlWorkspaceLocation": location,
        "unit": "Count",
        "currentValue": used,
        "limit": _UNLIMITED,
        "name": {"value": family, "localizedValue": family},
    }


def _quotas(connection: Connection, request: Request) -> list[Json]:
    subscription, location = request.path_params["subscription"], request.path_params["location"]
    stored = {r.name.lower(): r for r in resources.children(connection, f"/subscriptions/{subscription}", _QUOTA_TYPE)}
    result = []
    for family in sorted({size.family for size in vm_sizes.ALL}):
        row = stored.get(family.lower())
        result.append(
            {
                "id": f"/subscriptions/{subscription}/providers/{PROVIDER}/locations/{location}/quotas/{family}",
                "type": _QUOTA_TYPE,
                "amlWorkspaceLocation": location,
                "name": {"value": family, "localizedValue": family},
                "limit": row.spec["limit"] if row else _UNLIMITED,
                "unit": "Count",
            }
        )
    return result


def _update(connection: Connection, request: Request, body: Json, by: str) -> list[Json]:
    subscription = request.path_params["subscription"]
    answers = []
    wanted = body.get("value")
    if not isinstance(wanted, list):
        raise validation("value must be a list of quotas with id, limit and unit.", "value")
    for index, quota in enumerate(wanted):
        if not isinstance(quota, dict):
            raise validation("A quota must be an object with id, limit and unit.", f"value[{index}]")
        family, limit = _family(quota.get("id"), subscription), quota.get("limit")
        if family is None or not isinstance(limit, int) or isinstance(limit, bool) or not -1 <= limit < 2**31:
            raise validation(
                "A quota needs the id of a VM family of this subscription and a limit from -1 (none) to 2147483647.",
                f"value[{index}]",
            )
        id_ = f"/subscriptions/{subscription}/quotas/{family}"
        resources.delete(connection, id_)
        resources.insert(connection, resources.new(id_, _QUOTA_TYPE, {"limit": limit}), by=by)
        answers.append({"id": quota["id"], "type": _QUOTA_TYPE, "limit": limit, "unit": "Count", "status": "Success"})
    return answers


def _family(id_: object, subscription: str) -> str | None:
    """The VM family at the end of a quota's id; None where it is another subscription's or not one."""
    known = {size.family.lower(): size.family for size in vm_sizes.ALL}
    if not isinstance(id_, str) or not id_.lower().startswith(f"/subscriptions/{subscription}/".lower()):
        return None
    return known.get(id_.rsplit("/", 1)[-1].lower())
