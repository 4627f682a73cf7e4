"""The sandbox's state, in memory: stores, their orders, B2B Edition's records of them, and webhooks.

All times are seconds on this machine's clock. The skew of the platform's clock is added only where a time is sent to
a client (``Sandbox.shown``).
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import NAMESPACE_URL, uuid5
from zlib import crc32

from service.sandbox.apis.documents import (
    merged,
    order_document,
    product_document,
    shipping_document,
    transaction_document,
)
from service.sandbox.fault_injection import FaultInjector
from service.sandbox.options import ApiName, Faults, Options
from service.sandbox.quota import Quota
from service.sandbox.specs import (
    Company,
    Customer,
    CustomerGroup,
    ExtraFieldConfig,
    OrderEdit,
    Placement,
    Quote,
    StoreSpec,
    SuperAdmin,
    User,
)

FIRST_HOOK_ID = 20_000_001
FIRST_METAFIELD_ID = 300_001


@dataclass(frozen=True, slots=True)
class Record:
    """A version of B2B Edition's record of an order, valid from ``written_at``. A B2C order's record has no Company."""

    written_at: float
    company_id: int | None
    po_number: str | None
    extra_fields: Mapping[str, str]

    def with_changes(self, now: float, **changes: Any) -> "Record":
        """A new version with these changes, written now."""
        return replace(self, written_at=now, **changes)


@dataclass(frozen=True, slots=True)
class Write:
    """An accepted Create or Update. It was received earlier than ``at`` where faults have delayed it."""

    operation: str
    received_at: float
    at: float
    po_number: str | None
    extra_fields: Mapping[str, str] | None
    api: ApiName = "b2b"
    """Which API took it."""
    keeps_comment: bool | None = None
    """Whether it keeps the order's comment; None: its API says nothing of comments."""


@dataclass(frozen=True, slots=True)
class PlatformWrite:
    """The write with which the platform's server passes on what the buyer typed: it changes a record that is there."""

    at: float
    overwrites_po: bool
    replaces_fields: bool

    def on(self, record: Record, typed: Record) -> Record:
        """The record after it; ``typed`` has what the buyer typed."""
        keeps_po = typed.po_number is None or (record.po_number and not self.overwrites_po)
        fields = typed.extra_fields if self.replaces_fields else {**record.extra_fields, **typed.extra_fields}
        return record.with_changes(
            self.at,
            po_number=record.po_number if keeps_po else typed.po_number,
            extra_fields=fields if typed.extra_fields else record.extra_fields,
        )


@dataclass(frozen=True, slots=True)
class Read:
    """The first Get an Order that returned the version of the record from ``written_at``."""

    at: float
    written_at: float


@dataclass(frozen=True, slots=True)
class Attempt:
    """One delivery attempt of a webhook; ``status`` is None without a response."""

    scope: str
    hook_id: int
    webhook_id: str
    attempt: int
    at: float
    status: int | None
    error: str | None


@dataclass(slots=True, eq=False)
class Metafield:
    """A metafield of an order or a cart. Times are Unix seconds."""

    id: int
    namespace: str
    key: str
    value: str
    created_at: float
    modified_at: float


@dataclass(slots=True)
class Order:
    """An order and all versions of its record. Times are Unix seconds."""

    id: int
    placed_at: float
    dated_at: float
    """Its ``date_created``, which may have been set by whoever made it."""
    modified_at: float
    document: dict[str, Any]
    products: list[dict[str, Any]]
    shipping_addresses: list[dict[str, Any]]
    metafields: list[Metafield]
    cart_metafields: list[Metafield] | None
    """None: the cart is gone."""
    quote: Quote | None
    transactions: list[dict[str, Any]]
    order_type: str | None
    order_type_at: float
    """From when on the platform's metafield ``orderType`` is there."""
    is_invoice_order: bool
    default_record: Record
    """The record that B2B Edition creates by itself at ``written_at``, unless another one exists by then."""
    versions: list[Record] = field(default_factory=list)
    creates: int = 0
    updates: int = 0
    writes: list[Write] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    platform_write: PlatformWrite | None = None
    """Still to come."""
    buyer_text: str | None = None
    """The additional text of the checkout, which gets on the record with that write."""

    @property
    def customer_id(self) -> int:
        """The customer's ID; 0 for a guest."""
        return int(self.document["customer_id"])

    def metafield(self, namespace: str, key: str) -> Metafield | None:
        """Its metafield of this name, or None."""
        return next((each for each in self.metafields if (each.namespace, each.key) == (namespace, key)), None)

    def record(self, at: float) -> Record | None:
        """The record at that time. What the platform writes needs no timer: the time says whether it has."""
        self._let_platform_write(at)
        for version in reversed(self.versions):
            if version.written_at <= at:
                return version
        return self.default_record if self.default_record.written_at <= at else None

    def _let_platform_write(self, at: float) -> None:
        """Carry out the platform's write once it is due: before any later write, which reads the record first."""
        write = self.platform_write
        if write is None or at < write.at:
            return
        self.platform_write = None
        if self.versions and self.versions[-1].written_at <= write.at:
            self.versions.append(write.on(self.versions[-1], self.default_record))

    def note_read(self, at: float, record: Record) -> None:
        """Note that Get an Order has returned this version of the record."""
        if not self.reads or record.written_at > self.reads[-1].written_at:
            self.reads.append(Read(at, record.written_at))


@dataclass(slots=True)
class Hook:
    """A webhook. Times are Unix seconds."""

    id: int
    scope: str
    destination: str
    created_at: float
    updated_at: float
    headers: dict[str, str] | None = None
    is_active: bool = True
    deactivated: bool = False
    """Deactivated by BigCommerce after the last retry."""


@dataclass(frozen=True, slots=True)
class BuyerToken:
    """A storefront token: whom it acts as, on which channel, until when."""

    customer_id: int
    channel_id: int
    expires_at: float


@dataclass(slots=True)
class Store:
    """A store: its configuration, quotas, orders, webhooks and counts."""

    hash: str
    spec: StoreSpec
    quotas: dict[ApiName, Quota]
    first_order_id: int
    orders: dict[int, Order] = field(default_factory=dict)
    hooks: dict[int, Hook] = field(default_factory=dict)
    buyer_tokens: dict[str, BuyerToken] = field(default_factory=dict)
    calls: Counter[tuple[ApiName, str, str]] = field(default_factory=Counter)
    next_hook_id: int = FIRST_HOOK_ID
    next_metafield_id: int = FIRST_METAFIELD_ID

    @property
    def store_id(self) -> str:
        """The numeric store ID in webhooks; it is not the hash."""
        return str(crc32(self.hash.encode()) % 9_000_000 + 1_000_000)

    @property
    def extra_fields(self) -> tuple[ExtraFieldConfig, ...]:
        """The configs of the order extra fields."""
        return self.spec.extra_fields

    def customer(self, customer_id: int) -> Customer | None:
        """The customer with this ID, or None."""
        return next((customer for customer in self.spec.customers if customer.id == customer_id), None)

    def user(self, customer_id: int) -> User | None:
        """The Company user of this customer, or None."""
        return next((user for user in self.spec.users if user.customer_id == customer_id), None)

    def super_admin(self, customer_id: int) -> SuperAdmin | None:
        """The Super Admin with this customer ID, or None."""
        return next((admin for admin in self.spec.super_admins if admin.customer_id == customer_id), None)

    def company_of(self, customer_id: int) -> int | None:
        """The Company that this customer orders for, unless the order says another; None for a shopper."""
        if user := self.user(customer_id):
            return user.company_id
        admin = self.super_admin(customer_id)
        return admin.company_ids[0] if admin else None

    def customer_group(self, group_id: int) -> CustomerGroup | None:
        """The customer group with this ID, or None."""
        return next((group for group in self.spec.customer_groups if group.id == group_id), None)

    def company(self, company_id: int) -> Company | None:
        """The Company with this ID, or None."""
        return next((company for company in self.spec.companies if company.id == company_id), None)

    def add_hook(self, scope: str, destination: str, now: float, **rest: Any) -> Hook:
        """Add a webhook."""
        hook = Hook(self.next_hook_id, scope, destination, created_at=now, updated_at=now, **rest)
        self.next_hook_id += 1
        self.hooks[hook.id] = hook
        return hook

    def add_order(self, placement: Placement, now: float, default_record_after: float) -> Order:
        """Add an order that was placed ``placement.age`` seconds ago. Its Company is the buyer's present one."""
        order_id = self.first_order_id + len(self.orders)
        placed_at = now - placement.age
        products = [product_document(order_id, i, fields) for i, fields in enumerate(placement.line_items, start=1)]
        addresses = [shipping_document(order_id, i, fields) for i, fields in enumerate(placement.shipping_addresses)]
        order = Order(
            id=order_id,
            placed_at=placed_at,
            dated_at=placed_at + placement.date_offset,
            modified_at=placed_at,
            document=order_document({"cart_id": self._cart_id(order_id), **placement.order_fields}),
            products=products,
            shipping_addresses=addresses,
            metafields=self._metafields(placement.metafields, placed_at),
            cart_metafields=(
                None if placement.cart_metafields is None else self._metafields(placement.cart_metafields, placed_at)
            ),
            quote=placement.quote,
            transactions=[
                transaction_document(order_id, i, fields) for i, fields in enumerate(placement.transactions, start=1)
            ],
            order_type=placement.order_type,
            order_type_at=placed_at + placement.order_type_after,
            is_invoice_order=placement.is_invoice_order,
            default_record=Record(
                written_at=placed_at + default_record_after,
                company_id=placement.company_id or self.company_of(placement.customer_id),
                po_number=placement.buyer_po,
                extra_fields=placement.buyer_extra_fields,
            ),
            buyer_text=placement.buyer_text,
        )
        self.orders[order_id] = order
        return order

    def new_metafield(self, namespace: str, key: str, value: str, now: float) -> Metafield:
        """A metafield with the store's next ID."""
        metafield = Metafield(self.next_metafield_id, namespace, key, value, created_at=now, modified_at=now)
        self.next_metafield_id += 1
        return metafield

    def _metafields(self, values: Mapping[str, Mapping[str, str]], now: float) -> list[Metafield]:
        return [
            self.new_metafield(namespace, key, value, now)
            for namespace, keys in values.items()
            for key, value in keys.items()
        ]

    def edit_order(self, order: Order, edit: OrderEdit, now: float) -> None:
        """Change an order's fields. Lists of products and of shipping addresses replace the present ones."""
        order.document = merged(order.document, edit.order_fields)
        if edit.products is not None:
            order.products = [product_document(order.id, i, fields) for i, fields in enumerate(edit.products, start=1)]
        if edit.shipping_addresses is not None:
            addresses = enumerate(edit.shipping_addresses)
            order.shipping_addresses = [shipping_document(order.id, i, fields) for i, fields in addresses]
        order.modified_at = now

    def put_user(self, user: User) -> bool:
        """Make the customer this Company user; whether the customer was none before."""
        others = tuple(each for each in self.spec.users if each.customer_id != user.customer_id)
        is_new = len(others) == len(self.spec.users)
        self.spec = self.spec.model_copy(update={"users": (*others, user)})
        return is_new

    def put_company(self, company: Company) -> None:
        """Replace a Company."""
        companies = tuple(company if each.id == company.id else each for each in self.spec.companies)
        self.spec = self.spec.model_copy(update={"companies": companies})

    def _cart_id(self, order_id: int) -> str:
        return str(uuid5(NAMESPACE_URL, f"https://cart.example/{self.hash}/{order_id}"))


class Sandbox:
    """All stores, the active faults, and the clock."""

    def __init__(self, options: Options, clock: Callable[[], float] = time.time) -> None:
        self.options = options
        self.stores: dict[str, Store] = {}
        self._clock = clock
        self.set_faults(options.faults)

    def set_faults(self, faults: Faults) -> None:
        """Replace the active faults, and restart the random numbers from the seed."""
        self.faults = faults
        self.injector = FaultInjector(faults.seed)

    def now(self) -> float:
        """The time on the sandbox's clock, in Unix seconds."""
        return self._clock()

    def shown(self, instant: float) -> float:
        """Convert a time to the platform's clock, which may be skewed."""
        return instant + self.faults.clock_skew

    def put_store(self, store_hash: str, spec: StoreSpec) -> Store:
        """Create a store, or replace its configuration; its orders, webhooks and counts stay."""
        if store := self.stores.get(store_hash):
            store.spec = spec
            return store
        options = self.options
        store = Store(
            store_hash,
            spec,
            quotas={
                "core": Quota(options.core_quota, options.core_quota_window),
                "b2b": Quota(options.b2b_quota, options.b2b_quota_window),
                "storefront": Quota(options.storefront_quota, options.storefront_quota_window),
            },
            first_order_id=options.first_order_id,
        )
        self.stores[store_hash] = store
        return store

    def place_order(self, store: Store, placement: Placement) -> Order:
        """Place an order without sending a webhook."""
        after = self.options.auto_record_after if placement.record_after is None else placement.record_after
        if not (self.options.own_records if placement.own_record is None else placement.own_record):
            after = math.inf
        passed_on_after = self._platform_writes_after(store, placement)
        order = store.add_order(placement, self.now(), min(after, passed_on_after))
        if placement.buyer_po or placement.buyer_text or placement.buyer_extra_fields:
            order.platform_write = PlatformWrite(
                order.placed_at + passed_on_after,
                self.options.platform_overwrites_po,
                self.options.platform_replaces_fields,
            )
        return order

    def _platform_writes_after(self, store: Store, placement: Placement) -> float:
        """When the platform's server writes this order's record, in seconds after the order; infinite: never."""
        turns = self.options.platform_writes_after
        if placement.own_record is False:
            return math.inf
        if placement.platform_writes_after is not None:
            return placement.platform_writes_after
        return turns[len(store.orders) % len(turns)] if turns else math.inf
