"""The data of the bench's fake BigCommerce: orders that exist as soon as they are requested, and their records.

Responses have the sandbox's formats, and errors are BigCommerce's. They are built from prepared bytes, so that the
bench measures the product and not the fake.
"""

import json
import time
from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from service.sandbox.apis.documents import rfc_2822
from tests.bench.fake_bigcommerce.response_templates import (
    B2B_LIST,
    CONFIGS,
    HOOKS,
    NO_METAFIELDS,
    NO_SUPER_ADMINS,
    ORDER,
    ORDER_WHOLE,
    ROW,
)

CREATE_WINDOW_S = 10.0
V2_PER_PAGE, B2B_PER_PAGE = 250, 200


def po_number(order_id: int) -> str:
    """The PO number that the buyer of this order entered in the billing form."""
    return f"PO-{order_id}"


@dataclass(slots=True)
class Order:
    """An order and the times of its calls: ``created`` in Unix seconds, the others by ``time.monotonic``."""

    created: int
    created_text: bytes
    read_at: float = 0.0
    read_answered_at: float = 0.0
    create_at: float = 0.0


@dataclass(slots=True)
class Store:
    """One store: orders sorted by ID, records sorted by their orders' creation."""

    orders: dict[int, Order] = field(default_factory=dict)
    ids: list[int] = field(default_factory=list)
    records: list[tuple[int, int, bytes]] = field(default_factory=list)
    by_id: dict[int, bytes] = field(default_factory=dict)

    def order(self, order_id: int) -> Order:
        """The order; it is placed now if this is its first request."""
        order = self.orders.get(order_id)
        if order is None:
            now = int(time.time())
            order = self.orders[order_id] = Order(now, rfc_2822(now).encode())
            insort(self.ids, order_id)
        return order


@dataclass(frozen=True, slots=True)
class Request:
    """The parts of a request that are used."""

    method: str
    path: str
    query: Mapping[str, str]
    store_hash: str
    body: bytes
    at: float


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a JSON body, none for 204. ``on_sent`` is called with the time when the answer is sent."""

    status: int
    body: bytes = b""
    is_b2b: bool = False
    on_sent: Callable[[float], None] | None = None


class FakeStores:
    """All stores; every hash is a store. ``calls`` counts calls by operation, ``rows`` the rows that lists returned."""

    def __init__(self) -> None:
        self.stores: dict[str, Store] = {}
        self.calls: Counter[str] = Counter()
        self.rows: Counter[str] = Counter()
        self.created = 0

    def answer(self, request: Request) -> Answer:
        """Answer a call of either API, or of the bench's own API under ``/bench``."""
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
            case ["v3", "orders", _, "metafields"] if request.method == "GET":
                self.calls["Get Order Metafields"] += 1
                return Answer(200, NO_METAFIELDS)
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
                return Answer(200, CONFIGS, is_b2b=True)
            case ["companies", "super-admins"]:
                self.calls["Get Super Admins"] += 1
                return Answer(200, NO_SUPER_ADMINS, is_b2b=True)
            case ["users", "customer", _]:
                self.calls["Get User Details by BigCommerce Customer ID"] += 1
                return _refusal(404, "User does not exist or action not support for this user.")
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
        return Answer(200, _order_json(order_id, order, request), on_sent=_record_read([order], request.at))

    def _list_orders(self, store: Store, request: Request) -> Answer:
        self.calls["Get All Orders"] += 1
        query = request.query
        if "min_date_modified" in query:  # nobody changes these orders
            return Answer(204)
        least, limit = int(query.get("min_id", 0)), int(query.get("limit", 50))
        skipped = (int(query.get("page", 1)) - 1) * limit
        if "max_id" in query:
            wanted = list(range(least, int(query["max_id"]) + 1))[skipped : skipped + limit]
        else:
            # A filter by date, which all orders pass.
            first = bisect_right(store.ids, least - 1) + skipped
            wanted = store.ids[first : first + limit]
        self.rows["Get All Orders"] += len(wanted)
        if not wanted:
            return Answer(204)
        orders = [store.order(order_id) for order_id in wanted]
        documents = (_order_json(order_id, order, request) for order_id, order in zip(wanted, orders, strict=True))
        return Answer(200, b"[%b]" % b",".join(documents), on_sent=_record_read(orders, request.at))

    def _hooks(self, operation: str, store_hash: str) -> Answer:
        self.calls[operation] += 1
        return Answer(200, HOOKS[operation] % {b"store": store_hash.encode()})

    # ── B2B Edition ─────────────────────────────────────────────────────────────────────────────────────────

    def _create(self, store: Store, request: Request) -> Answer:
        self.calls["Create an Order"] += 1
        sent = json.loads(request.body)
        order_id = sent["bcOrderId"]
        order = store.orders.get(order_id)
        if order is None:
            return _refusal(404, "Order Does Not Exist.")
        order.create_at = order.create_at or request.at
        if order_id in store.by_id or time.time() >= order.created + CREATE_WINDOW_S:
            return _refusal(400, "The order already exists.")
        row = ROW % {
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
        return Answer(200, B2B_LIST % {b"rows": rows, b"total": total, b"limit": limit, b"offset": offset}, is_b2b=True)


def _record_read(orders: list[Order], asked_at: float) -> Callable[[float], None]:
    """Record the first read of these orders; the returned function records when the answer was sent."""
    fresh = [order for order in orders if not order.read_at]
    for order in fresh:
        order.read_at = asked_at

    def answered(at: float) -> None:
        for order in fresh:
            order.read_answered_at = at

    return answered


def _order_json(order_id: int, order: Order, request: Request) -> bytes:
    document = ORDER_WHOLE if "include" in request.query else ORDER
    return document % {b"id": order_id, b"created": order.created_text}


def _done(row: bytes) -> Answer:
    return Answer(200, b'{"code":200,"data":%b,"meta":{"message":"SUCCESS"}}' % row, is_b2b=True)


def _refusal(status: int, message: str) -> Answer:
    body = {"code": status, "data": {}, "meta": {"message": message}}
    return Answer(status, json.dumps(body).encode(), is_b2b=True)
