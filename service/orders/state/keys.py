"""The Redis keys of a store, except arq's own and the cache's; and those of all stores that several parts use."""

_ENTRY_PREFIX = "enrich:order:"


def entry_key(store: str, order_id: int) -> str:
    """An order's entry: a hash."""
    return f"{_ENTRY_PREFIX}{store}:{order_id}"


def entry_prefix(store: str) -> str:
    """The prefix of the store's entry keys; the order's id follows."""
    return f"{_ENTRY_PREFIX}{store}:"


def index_key(store: str) -> str:
    """The store's orders by the time of their last change (ms): a sorted set."""
    return f"enrich:orders:{store}"


def failed_key(store: str) -> str:
    """The store's failed orders by the time they failed (ms): a sorted set."""
    return f"enrich:orders:{store}:failed"


def verify_key(store: str) -> str:
    """The store's orders to verify, by when that is due (ms): a sorted set."""
    return f"enrich:checks:{store}"


def reverify_key(store: str) -> str:
    """The store's finished orders to re-verify, by when that is due (ms): a sorted set."""
    return f"enrich:second-looks:{store}"


def waiting_key(store: str) -> str:
    """The store's orders that wait for their status to change, by when to poll it (ms): a sorted set."""
    return f"enrich:waiting:{store}"


def awaiting_value_key(store: str) -> str:
    """The store's orders that wait for the value of a required rule, by when to try them again (ms): a sorted set."""
    return f"enrich:waiting-values:{store}"


def skipped_key(store: str) -> str:
    """The store's orders skipped for their buyer, by when they are held against the records (ms): a sorted set."""
    return f"enrich:skipped:{store}"


def people_due_key(store: str) -> str:
    """Whose skipped orders are tried again, by when that is due (ms): a sorted set. ``skipped_orders`` reads it."""
    return f"enrich:people-due:{store}"


def people_changed_key(store: str) -> str:
    """When the store's Company users or Companies last changed (ms)."""
    return f"enrich:people-changed:{store}"


def people_asked_key(store: str) -> str:
    """The customers that B2B Edition was asked about because of such changes: a set."""
    return f"enrich:people-asked:{store}"


def super_admins_key(store: str) -> str:
    """The store's Super Admins: JSON."""
    return f"enrich:super-admins:{store}"


def storefront_token_key(store: str, customer_id: int, channel_id: int) -> str:
    """The storefront token of a buyer on a channel: sealed (``storefront_tokens``)."""
    return f"enrich:storefront-token:{store}:{customer_id}:{channel_id}"


def storefront_closed_key(store: str) -> str:
    """Exists while no Create goes over the store's storefront API. ``storefront_breaker`` reads it."""
    return f"enrich:storefront-closed:{store}"


def storefront_failures_key(store: str) -> str:
    """How many Creates over the store's storefront API have failed in a row, and the last trouble: a hash."""
    return f"enrich:storefront-failures:{store}"


def token_problem_key(store: str) -> str:
    """Why storefront tokens of the store's buyers could not be fetched: a sentence."""
    return f"enrich:storefront-problem:{store}"


def tokens_fetched_key(store: str) -> str:
    """Exists for a minute after storefront tokens were fetched for the store."""
    return f"enrich:storefront-fetched:{store}"


def buyers_ordered_key(store: str) -> str:
    """When each active buyer of the store last ordered on a channel (Unix seconds): a sorted set."""
    return f"enrich:buyers-ordered:{store}"


def buyers_seeded_key(store: str) -> str:
    """Exists once the store's active buyers were taken from the ledger."""
    return f"enrich:buyers-seeded:{store}"


def buyers_activity_key(store: str) -> str:
    """How active each of those buyers is: a sorted set."""
    return f"enrich:buyers-activity:{store}"


def late_key(store: str) -> str:
    """The store's orders that wait for late metafields, by when they began to wait (ms): a sorted set."""
    return f"enrich:late:{store}"


def late_seen_key(store: str) -> str:
    """What each of those orders' last attempt saw of its metafields: a hash, by order."""
    return f"enrich:late-seen:{store}"


def late_misses_key(store: str) -> str:
    """How many waits for late values in a row brought nothing: a number."""
    return f"enrich:late-misses:{store}"


def changed_key(store: str) -> str:
    """The store's orders that have changed since they ended, by when to read them again (ms): a sorted set."""
    return f"enrich:changed:{store}"


def changes_key(store: str) -> str:
    """What has changed in each of those orders: a hash, by order."""
    return f"enrich:changes:{store}"


def changes_cursor_key(store: str) -> str:
    """Up to when changes of the store's orders have been listed: JSON."""
    return f"enrich:changes-cursor:{store}"


def rules_key(store: str, version: str) -> str:
    """Rules that orders of the store were written with: JSON."""
    return f"enrich:rules:{store}:{version}"


def rule_values_key(store: str) -> str:
    """How often each rule of the store gave a value lately: a hash, by rule. ``per_store.rule_values`` reads it."""
    return f"enrich:rule-values:{store}"


def webhook_counts_key(span: int) -> str:
    """The webhooks that came in that span of time: a hash. ``per_store.webhook_counts`` reads it."""
    return f"enrich:webhook-counts:{span}"


def rules_history_key(store: str) -> str:
    """The last versions of the store's rules that were saved in the console: a list of JSON, the newest first."""
    return f"enrich:rules-history:{store}"


def late_told_key(store: str) -> str:
    """How many late values in a row a webhook told of before anything else found them: a number."""
    return f"enrich:late-told:{store}"


def late_turns_key(store: str) -> str:
    """When each order was placed that waits inside its window, on BigCommerce's clock (ms): a sorted set."""
    return f"enrich:late-turns:{store}"


def order_date_key(store: str) -> str:
    """The store's last order whose webhook confirmed its date: JSON, its id and the date (Unix seconds)."""
    return f"enrich:order-date:{store}"


def record_seen_key(store: str) -> str:
    """The highest order id whose B2B Edition record was seen: a sorted set of one."""
    return f"enrich:record-seen:{store}"


def order_type_misses_key(store: str) -> str:
    """How many orders in a row were waited for that never showed their ``orderType`` metafield: a number."""
    return f"enrich:order-type-misses:{store}"


def parked_key(store: str) -> str:
    """The store's parked orders, by when they were parked (ms): a sorted set."""
    return f"enrich:parked:{store}"


def paused_key(store: str) -> str:
    """Exists while writing for the store is paused: JSON, since when and by whom."""
    return f"enrich:paused:{store}"


def held_key(store: str) -> str:
    """The store's orders that are held because nothing is written for it, by since when (ms): a sorted set."""
    return f"enrich:held:{store}"


def breaker_key(store: str) -> str:
    """Exists while the store's credentials are refused."""
    return f"enrich:breaker:{store}"


def webhook_seen_key(store: str) -> str:
    """When the store's last webhook that was in time was received (ms)."""
    return f"enrich:webhook-seen:{store}"


def webhook_pace_key(store: str) -> str:
    """The pace of the store's webhooks for new orders: a hash. ``workers.periodic.webhook_pace`` reads it."""
    return f"enrich:webhook-pace:{store}"


def cursor_key(store: str) -> str:
    """The reconciliation cursor of the store: JSON."""
    return f"enrich:cursor:{store}"


PENDING_COUNTERS = "enrich:statistics-pending"
"""What finished orders of all stores have lately added to their statistics: a list. ``per_store.counters`` reads it."""


def statistics_prefix(store: str) -> str:
    """The prefix of the store's statistics, a hash of counters for each day and hour; the period's name follows."""
    return f"enrich:statistics:{store}:"


def facts_key(store: str) -> str:
    """What is known of the store's BigCommerce: a hash of observations by fact. ``service.orders.facts`` reads it."""
    return f"enrich:facts:{store}"


def rehearsal_key(store: str) -> str:
    """Exists while `enrich rehearse` measures the store: the webhooks that came meanwhile, a hash."""
    return f"enrich:rehearsal:{store}"


def rehearsal_lock_key(store: str) -> str:
    """Exists while `enrich rehearse` runs for the store: its owner."""
    return f"enrich:rehearsing:{store}"


def backfill_key(store: str, span: str) -> str:
    """The progress of a backfill of that span: the id of the last order."""
    return f"enrich:backfill:{store}:{span}"


def backfill_lock_key(store: str) -> str:
    """Exists while a backfill of the store runs: its owner."""
    return f"enrich:backfilling:{store}"


def polling_key(store: str) -> str:
    """Exists while the polling fallback is on for the store, because webhooks fail: JSON."""
    return f"enrich:watch:{store}"


def hook_key(store: str) -> str:
    """The state of the store's webhooks: a hash. ``destination`` is the URL they should be sent to."""
    return f"enrich:hook:{store}"


def notify_queue_key() -> str:
    """Messages that wait to be delivered, in their order: a sorted set. ``service.notify.persistence`` reads it."""
    return "enrich:notify:queue"
