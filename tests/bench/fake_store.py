"""What the bench's BigCommerce knows: orders that are there as soon as they are asked for, and their records.

Its answers have the shapes that the sandbox has; nothing is refused but what BigCommerce would refuse, too. Each is
put together from bytes that were prepared, so that the bench measures the product and not its counterpart.
"""

import json
import time
from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from service.sandbox.apis.documents import order_document, product_document, rfc_2822, shipping_document

CUSTOMER_ID = 101
PO_FIELD, ACCOUNT_FIELD = "PO Number", "Account No"
WEBHOOK_URL = "https://bench.example/webhooks/bigcommerce"

CREATE_WITHIN_S = 10.0
V2_PER_PAGE, B2B_PER_PAGE = 250, 200


def po_number(order_id: int) -> str:
    """What the buyer of this order wrote into the billing form."""
    return f"PO-{order_id}"


@dataclass(slots=True)
class Order:
    """An order and what was done for it; ``created`` is in Unix seconds, all other times are ``time.monotonic``."""

    created: int
    created_text: bytes
    read_at: float = 0.0
    read_answered_at: float = 0.0
    create_at: float = 0.0


@dataclass(slots=True)
class Store:
    """One store: its orders in the order of their ids, its records in that of their orders' creation."""

    orders: dict[int, Order] = field(default_factory=dict)
    ids: list[int] = field(default_factory=list)
    records: list[tuple[int, int, bytes]] = field(default_factory=list)
    by_id: dict[int, bytes] = field(default_factory=dict)

    def order(self, order_id: int) -> Order:
        """The order, placed just now if it was never asked for."""
        order = self.orders.get(order_id)
        if order is None:
            now = int(time.time())
            order = self.orders[order_id] = Order(now, rfc_2822(now).encode())
            insort(self.ids, order_id)
        return order


@dataclass(frozen=True, slots=True)
class Request:
    """A request as far as it is read."""

    method: str
    path: str
    query: Mapping[str, str]
    store_hash: str
    body: bytes
    at: float


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a JSON body, none for 204. ``is_sent`` is told when the answer leaves."""

    status: int
    body: bytes = b""
    is_b2b: bool = False
    is_sent: Callable[[float], None] | None = None


class Shop:
    """All stores: any hash is one. ``calls`` counts the calls by operation, ``rows`` what the lists among them held."""

    def __init__(self) -> None:
        self.stores: dict[str, Store] = {}
        self.calls: Counter[str] = Counter()
        self.rows: Counter[str] = Counter()
        self.created = 0

    def answer(self, request: Request) -> Answer:
        """The answer to a call of either API, or to the bench's own questions under ``/bench``."""
        match request.path.split("/")[1:]:
            case ["stores", store, *rest]:
                answer = self._answer_core(store, rest, request)
            case ["api", "v3", "io", *rest]:
                answer = self._answer_b2b(rest, request)
            case ["bench", "counts"]:
                counts = {"created": self.created, "calls": self.calls, "rows": self.rows}
                answer = Answer(200, json.dumps(counts).encode())
            case ["bench", "times"]:
                answer = Answer(200, json.dumps(self._times()).encode())
            case _:
                answer = None
        if answer is None:
            self.calls[f"unknown: {request.method} {request.path}"] += 1
            answer = Answer(404, b'[{"status":404,"message":"The requested resource was not found."}]')
        return answer

    def _answer_core(self, store: str, path: list[str], request: Request) -> Answer | None:
        match path:
            case ["v2", "orders", number]:
                return self._get_order(self._store(store), int(number), request)
            case ["v2", "orders"]:
                return self._list_orders(self._store(store), request)
            case ["v3", "hooks"]:
                return self._hooks("Get Webhooks", store)
            case ["v3", "hooks", "admin"]:
                return self._hooks("Get Admin Info", store)
        return None

    def _answer_b2b(self, path: list[str], request: Request) -> Answer | None:
        store = self._store(request.store_hash)
        match path:
            case ["orders", "extra-fields"]:
                self.calls["Get Order Extra Field Configs"] += 1
                return Answer(200, _CONFIGS, is_b2b=True)
            case ["orders"] if request.method == "POST":
                return self._create(store, request)
            case ["orders"]:
                return self._list_records(store, request)
            case ["orders", number] if request.method == "GET":
                return self._get_record(store, int(number))
        return None

    def _store(self, store_hash: str) -> Store:
        store = self.stores.get(store_hash)
        if store is None:
            store = self.stores[store_hash] = Store()
        return store

    def _times(self) -> dict[str, dict[int, list[float]]]:
        return {
            store_hash: {
                number: [order.read_at, order.read_answered_at, order.create_at]
                for number, order in store.orders.items()
            }
            for store_hash, store in self.stores.items()
        }

    # ── the core API ────────────────────────────────────────────────────────────────────────────────────────

    def _get_order(self, store: Store, order_id: int, request: Request) -> Answer:
        self.calls["Get an Order"] += 1
        order = store.order(order_id)
        return Answer(200, _shown(order_id, order, request), is_sent=_note_read([order], request.at))

    def _list_orders(self, store: Store, request: Request) -> Answer:
        self.calls["Get All Orders"] += 1
        query = request.query
        least, limit = int(query.get("min_id", 0)), int(query.get("limit", 50))
        skipped = (int(query.get("page", 1)) - 1) * limit
        if "max_id" in query:
            wanted = list(range(least, int(query["max_id"]) + 1))[skipped : skipped + limit]
        else:
            # Those that were placed since some date, which here are all.
            first = bisect_right(store.ids, least - 1) + skipped
            wanted = store.ids[first : first + limit]
        self.rows["Get All Orders"] += len(wanted)
        if not wanted:
            return Answer(204)
        orders = [store.order(order_id) for order_id in wanted]
        shown = (_shown(order_id, order, request) for order_id, order in zip(wanted, orders, strict=True))
        return Answer(200, b"[%b]" % b",".join(shown), is_sent=_note_read(orders, request.at))

    def _hooks(self, operation: str, store_hash: str) -> Answer:
        self.calls[operation] += 1
        return Answer(200, _HOOKS[operation] % {b"store": store_hash.encode()})

    # ── B2B Edition ─────────────────────────────────────────────────────────────────────────────────────────

    def _create(self, store: Store, request: Request) -> Answer:
        self.calls["Create an Order"] += 1
        sent = json.loads(request.body)
        order_id = sent["bcOrderId"]
        order = store.orders.get(order_id)
        if order is None:
            return _refusal(404, "Order Does Not Exist.")
        order.create_at = order.create_at or request.at
        if order_id in store.by_id or time.time() >= order.created + CREATE_WITHIN_S:
            return _refusal(400, "The order already exists.")
        row = _ROW % {
            b"id": order_id,
            b"po": json.dumps(sent.get("poNumber", "")).encode(),
            b"fields": json.dumps(sent.get("extraFields", [])).encode(),
            b"created": order.created,
            b"updated": int(time.time()),
        }
        store.by_id[order_id] = row
        insort(store.records, (order.created, order_id, row))
        self.created += 1
        return _done(row)

    def _get_record(self, store: Store, order_id: int) -> Answer:
        self.calls["Get an Order (B2B)"] += 1
        row = store.by_id.get(order_id)
        return _refusal(404, "Order Does Not Exist.") if row is None else _done(row)

    def _list_records(self, store: Store, request: Request) -> Answer:
        self.calls["Get All Orders (B2B)"] += 1
        query = request.query
        # The times are exclusive, as documented.
        first = bisect_right(store.records, int(query.get("minCreated", 0)), key=lambda record: record[0])
        total = len(store.records) - first
        offset, limit = int(query.get("offset", 0)), int(query.get("limit", 10))
        if query.get("orderBy", "DESC") == "ASC":
            page = store.records[first + offset : first + offset + limit]
        else:
            page = store.records[first:][::-1][offset : offset + limit]
        self.rows["Get All Orders (B2B)"] += len(page)
        rows = b",".join([row for _, _, row in page])
        return Answer(
            200, _B2B_LIST % {b"rows": rows, b"total": total, b"limit": limit, b"offset": offset}, is_b2b=True
        )


def _note_read(orders: list[Order], asked_at: float) -> Callable[[float], None]:
    """Note when orders were read for the first time; the answer is on its way when the returned function is called."""
    fresh = [order for order in orders if not order.read_at]
    for order in fresh:
        order.read_at = asked_at

    def answered(at: float) -> None:
        for order in fresh:
            order.read_answered_at = at

    return answered


def _shown(order_id: int, order: Order, request: Request) -> bytes:
    document = _ORDER_WHOLE if "include" in request.query else _ORDER
    return document % {b"id": order_id, b"created": order.created_text}


def _done(row: bytes) -> Answer:
    return Answer(200, b'{"code":200,"data":%b,"meta":{"message":"SUCCESS"}}' % row, is_b2b=True)


def _refusal(status: int, message: str) -> Answer:
    body = {"code": status, "data": {}, "meta": {"message": message}}
    return Answer(status, json.dumps(body).encode(), is_b2b=True)


# ── the prepared bytes: "@name@" stands for text, "@name" for a number or for JSON ──────────────────────────────


def _template(document: Any) -> bytes:
    text = json.dumps(document).encode().replace(b"%", b"%%")
    for name, placeholder in _PLACEHOLDERS.items():
        text = text.replace(name, placeholder)
    return text


_PLACEHOLDERS = {
    b'"@id"': b"%(id)d",
    b"@id@": b"%(id)d",
    b"@date@": b"%(created)b",
    b'"@created"': b"%(created)d",
    b'"@updated"': b"%(updated)d",
    b'"@po"': b"%(po)b",
    b'"@fields"': b"%(fields)b",
    b'"@rows"': b"%(rows)b",
    b'"@total"': b"%(total)d",
    b'"@limit"': b"%(limit)d",
    b'"@offset"': b"%(offset)d",
    b"@store@": b"%(store)b",
}


def _order(*, whole: bool) -> bytes:
    form = {PO_FIELD: "PO-@id@", ACCOUNT_FIELD: "ERP-10001"}
    fields = {
        "customer_id": CUSTOMER_ID,
        "status_id": 11,
        "billing_address": {"form_fields": [{"name": name, "value": value} for name, value in form.items()]},
    }
    links = {
        name: {"url": f"https://bench.example/v2/orders/@id@/{name}", "resource": f"/orders/@id@/{name}"}
        for name in ("products", "shipping_addresses", "coupons", "consignments")
    }
    document = {
        "id": "@id",
        **order_document(fields),
        "date_created": "@date@",
        "date_modified": "@date@",
        "status": "Awaiting Fulfillment",
        "custom_status": "Awaiting Fulfillment",
        **links,
    }
    if whole:
        shipping = shipping_document(0, 0, {}) | {"line_items": [product_document(0, index, {}) for index in (0, 1)]}
        document["consignments"] = {
            "pickups": [],
            "shipping": [shipping],
            "downloads": [],
            "email": {"gift_certificates": []},
        }
    return _template(document)


def _row() -> bytes:
    legacy = dict.fromkeys((*(f"extraInt{i}" for i in range(1, 6)), *(f"extraStr{i}" for i in range(1, 6))))
    money = {"currencyLocation": "left", "currencyToken": "$", "decimalToken": ".", "decimalPlaces": 2}
    return _template(
        {
            "id": "@id",
            "bcOrderId": "@id",
            "totalIncTax": 141.9,
            "usdIncTax": 141.9,
            "poNumber": "@po",
            "status": "Awaiting Fulfillment",
            "customStatus": "Awaiting Fulfillment",
            "statusCode": 11,
            "cartId": "095a15a6-8a27-4c20-b357-36b82e9d5929",
            "items": 2,
            "companyId": 7001,
            "currencyCode": "USD",
            "money": {**money, "thousandsToken": ","},
            "isArchived": False,
            "channelId": 1,
            "channelName": "Bench",
            "createdAt": "@created",
            "updatedAt": "@updated",
            **legacy,
            "extraText": None,
            "extraInfo": {},
            "extraFields": "@fields",
            "isInvoiceOrder": 0,
        }
    )


def _config(name: str) -> dict[str, Any]:
    kind: dict[str, Any] = {
        "fieldType": 0,
        "isRequired": False,
        "isUnique": False,
        "maximumLength": None,
        "listOfValues": [],
    }
    return {"id": 1, "uuid": "", "fieldName": name, "labelName": name, **kind, "visibleToEnduser": True}


def _b2b_list(data: Any, total: Any, limit: Any, offset: Any) -> dict[str, Any]:
    pagination = {"totalCount": total, "limit": limit, "offset": offset}
    return {"code": 200, "data": data, "meta": {"message": "SUCCESS", "pagination": pagination}}


def _hook(number: int, scope: str) -> dict[str, Any]:
    times = {"created_at": 1_700_000_000, "updated_at": 4_000_000_000}  # it never seems idle
    where = {"client_id": "bench", "store_hash": "@store@", "destination": WEBHOOK_URL}
    return {"id": number, "scope": scope, **where, "headers": {}, "is_active": True, **times}


_ORDER, _ORDER_WHOLE = _order(whole=False), _order(whole=True)
_ROW = _row()
_B2B_LIST = _template(_b2b_list(["@rows"], "@total", "@limit", "@offset"))
_CONFIGS = json.dumps(_b2b_list([_config(ACCOUNT_FIELD)], 1, 200, 0)).encode()
_ALL_HOOKS = [_hook(1, "store/order/created"), _hook(2, "store/order/statusUpdated")]
_PAGINATION = {"total": 2, "count": 2, "per_page": 250, "current_page": 1, "total_pages": 1}
_HOOKS = {
    "Get Webhooks": _template({"data": _ALL_HOOKS, "meta": {"pagination": _PAGINATION}}),
    "Get Admin Info": _template(
        {
            "data": {
                "emails": [],
                "hooks_list": [{**hook, "status": "active"} for hook in _ALL_HOOKS],
                "blocked_domains": [],
            },
            "meta": {},
        }
    ),
}
