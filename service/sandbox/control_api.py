"""The control API under ``/sandbox``: configure stores, place orders, inspect the results, set faults.

JSON without credentials: for this machine only. Times are seconds on this machine's own clock, never skewed.
"""

import json
from collections import Counter
from dataclasses import asdict
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from service.sandbox.apis.storefront.tokens import DEFAULT_CHANNEL, issue_token
from service.sandbox.options import Faults
from service.sandbox.specs import (
    CompanyChange,
    HooksChange,
    Membership,
    MetafieldsWrite,
    OrderEdit,
    Placement,
    RecordWrite,
    StatusChange,
    StoreSpec,
    User,
)
from service.sandbox.state import Order, Sandbox, Store
from service.sandbox.storefront import Storefront

Model = TypeVar("Model", bound=BaseModel)


class Control:
    """The handlers with which tests and the demo control the sandbox."""

    def __init__(self, sandbox: Sandbox, storefront: Storefront, operations: set[str]) -> None:
        self._sandbox = sandbox
        self._storefront = storefront
        self._operations = operations

    def routes(self) -> list[BaseRoute]:
        """The routes under ``/sandbox``."""
        return [
            Mount(
                "/sandbox",
                routes=[
                    Route("/health", self.health, methods=["GET"]),
                    Route("/faults", self.faults, methods=["GET"]),
                    Route("/faults", self.put_faults, methods=["PUT"]),
                    Route("/stores/{store_hash}", self.put_store, methods=["PUT"]),
                    Route("/stores/{store_hash}", self.delete_store, methods=["DELETE"]),
                    Route("/stores/{store_hash}/calls", self.calls, methods=["GET"]),
                    Route("/stores/{store_hash}/hooks", self.put_hooks, methods=["PUT"]),
                    Route("/stores/{store_hash}/orders", self.place_order, methods=["POST"]),
                    Route("/stores/{store_hash}/orders/{order_id:int}", self.order, methods=["GET"]),
                    Route("/stores/{store_hash}/orders/{order_id:int}", self.edit_order, methods=["PUT"]),
                    Route("/stores/{store_hash}/orders/{order_id:int}/metafields", self.metafields, methods=["PUT"]),
                    Route("/stores/{store_hash}/orders/{order_id:int}/status", self.put_status, methods=["PUT"]),
                    Route("/stores/{store_hash}/orders/{order_id:int}/record", self.put_record, methods=["PUT"]),
                    Route("/stores/{store_hash}/users/{customer_id:int}/token", self.post_token, methods=["POST"]),
                    Route("/stores/{store_hash}/users/{customer_id:int}", self.put_user, methods=["PUT"]),
                    Route("/stores/{store_hash}/companies/{company_id:int}/status", self.put_company, methods=["PUT"]),
                ],
            )
        ]

    async def health(self, _: Request) -> Response:
        """Report that the sandbox is up, and its stores."""
        return JSONResponse({"status": "ok", "stores": sorted(self._sandbox.stores)})

    async def faults(self, _: Request) -> Response:
        """Get the active faults."""
        return JSONResponse(self._sandbox.faults.model_dump(mode="json"))

    async def put_faults(self, request: Request) -> Response:
        """Replace the active faults (``options.Faults``); keys that are left out get their defaults."""
        faults = await _read(request, Faults)
        if unknown := faults.operations - self._operations:
            raise HTTPException(400, f"operations: there is no {', '.join(sorted(unknown))}")
        self._sandbox.set_faults(faults)
        return await self.faults(request)

    async def put_store(self, request: Request) -> Response:
        """Create or replace a store's configuration; its orders, webhooks and counts stay."""
        store = self._sandbox.put_store(request.path_params["store_hash"], await _read(request, StoreSpec))
        return JSONResponse({"store_hash": store.hash, "store_id": store.store_id})

    async def delete_store(self, request: Request) -> Response:
        """Delete a store with its orders and webhooks."""
        store = self._store(request)
        store.hooks.clear()
        del self._sandbox.stores[store.hash]
        return Response(status_code=204)

    async def calls(self, request: Request) -> Response:
        """Get the number of calls by operation and status.

        "cut" stands for a connection that was cut, "nonsense" for an answer that was not the operation's own.
        """
        store = self._store(request)
        counts: dict[str, dict[str, dict[str, int]]] = {"core": {}, "b2b": {}, "storefront": {}}
        over_quota = Counter({"core": 0, "b2b": 0, "storefront": 0})
        for (api, operation, outcome), count in store.calls.items():
            counts[api].setdefault(operation, {})[outcome] = count
            over_quota[api] += count if outcome == "429" else 0
        return JSONResponse({"total": store.calls.total(), **counts, "over_quota": over_quota})

    async def put_hooks(self, request: Request) -> Response:
        """Switch all webhooks of a store on or off."""
        store, change = self._store(request), await _read(request, HooksChange)
        for hook in store.hooks.values():
            hook.is_active, hook.deactivated, hook.updated_at = change.is_active, False, self._sandbox.now()
        return JSONResponse({"hooks": len(store.hooks), "is_active": change.is_active})

    async def place_order(self, request: Request) -> Response:
        """Place an order, as a shopper does; 201 with its ID and creation time."""
        store = self._store(request)
        order = self._storefront.place_order(store, await _read(request, Placement))
        return JSONResponse({"id": order.id, "created_at": order.placed_at}, 201)

    async def order(self, request: Request) -> Response:
        """Get an order, its record, and the writes and reads of it, without any faults."""
        order = self._order(self._store(request), request)
        record = order.record(self._sandbox.now())
        return JSONResponse(
            {
                "id": order.id,
                "created_at": order.placed_at,
                "order": order.document,
                "record": asdict(record) if record else None,
                "creates": order.creates,
                "updates": order.updates,
                "writes": [asdict(write) for write in order.writes],
                "reads": [asdict(read) for read in order.reads],
                "webhooks": [asdict(attempt) for attempt in order.attempts],
            }
        )

    async def edit_order(self, request: Request) -> Response:
        """Change fields of an order as staff do (``specs.OrderEdit``)."""
        store = self._store(request)
        order = self._order(store, request)
        self._storefront.edit_order(store, order, await _read(request, OrderEdit))
        return JSONResponse({"id": order.id, "modified_at": order.modified_at})

    async def metafields(self, request: Request) -> Response:
        """Write metafields of an order as an app does (``specs.MetafieldsWrite``)."""
        store = self._store(request)
        order = self._order(store, request)
        write = await _read(request, MetafieldsWrite)
        for namespace, values in write.metafields.items():
            for key, value in values.items():
                self._storefront.write_metafield(store, order, namespace, key, value, is_told=not write.drop_webhook)
        return JSONResponse({"id": order.id, "metafields": [asdict(each) for each in order.metafields]})

    async def post_token(self, request: Request) -> Response:
        """Issue a storefront token for a customer, as if it was fetched long ago: it costs no call of a quota."""
        customer_id = request.path_params["customer_id"]
        token = issue_token(self._sandbox, self._store(request), customer_id, DEFAULT_CHANNEL)
        return JSONResponse({"token": token}, 201)

    async def put_user(self, request: Request) -> Response:
        """Make a customer a Company user, or change one (``specs.Membership``)."""
        store, member = self._store(request), await _read(request, Membership)
        if store.company(member.company_id) is None:
            raise HTTPException(400, f"company_id: there is no company {member.company_id}")
        customer_id, fields = request.path_params["customer_id"], member.model_dump(exclude={"drop_webhook"})
        present = store.user(customer_id)
        user = User(**{**fields, "customer_id": customer_id, "id": present.id if present else None})
        self._storefront.put_user(store, user, is_told=not member.drop_webhook)
        return JSONResponse({"customer_id": user.customer_id, "user_id": user.user_id})

    async def put_company(self, request: Request) -> Response:
        """Change a Company's status, as its approval does (``specs.CompanyChange``)."""
        store, change = self._store(request), await _read(request, CompanyChange)
        company = store.company(request.path_params["company_id"])
        if company is None:
            raise HTTPException(404, f"there is no company {request.path_params['company_id']}")
        self._storefront.change_company_status(store, company, change.status, is_told=not change.drop_webhook)
        return JSONResponse({"id": company.id, "status": change.status})

    async def put_status(self, request: Request) -> Response:
        """Change an order's status, as a payment does."""
        store = self._store(request)
        order = self._order(store, request)
        self._storefront.change_status(store, order, (await _read(request, StatusChange)).status_id)
        return JSONResponse({"id": order.id, "status_id": order.document["status_id"]})

    async def put_record(self, request: Request) -> Response:
        """Change B2B Edition's record as others do: the storefront, staff, or the platform itself."""
        order = self._order(self._store(request), request)
        write = await _read(request, RecordWrite)
        now = self._sandbox.now()
        record = order.record(now) or order.default_record
        changes = write.model_dump(exclude_none=True, exclude={"changed_fields"})
        changes["extra_fields"] = {**changes.get("extra_fields", record.extra_fields), **write.changed_fields}
        order.versions.append(record.with_changes(now, **changes))
        return JSONResponse(asdict(order.versions[-1]))

    def _store(self, request: Request) -> Store:
        if store := self._sandbox.stores.get(request.path_params["store_hash"]):
            return store
        raise HTTPException(404, f"there is no store {request.path_params['store_hash']}")

    def _order(self, store: Store, request: Request) -> Order:
        if order := store.orders.get(request.path_params["order_id"]):
            return order
        raise HTTPException(404, f"there is no order {request.path_params['order_id']}")


async def _read(request: Request, model: type[Model]) -> Model:
    """Parse the body as this model. Raises HTTPException 400, which names every wrong key."""
    try:
        return model.model_validate(json.loads(await request.body() or b"{}"))
    except ValidationError as error:
        problems = (
            f"{'.'.join(map(str, detail['loc'])) or 'body'}: {detail['msg'].removeprefix('Value error, ')}"
            for detail in error.errors(include_url=False, include_input=False)
        )
        raise HTTPException(400, "; ".join(problems)) from None
    except ValueError:
        raise HTTPException(400, "the body is not JSON") from None


async def refused(_: Request, error: Exception) -> Response:
    """Return an error of the control API as JSON."""
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code)
