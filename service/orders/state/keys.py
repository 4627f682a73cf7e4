"""The names of everything that lies in Redis for a store, beside arq's own keys and the cache."""

_ENTRY = "enrich:order:"


def entry_key(store: str, order_id: int) -> str:
    """What is known of one order: a hash."""
    return f"{_ENTRY}{store}:{order_id}"


def entry_prefix(store: str) -> str:
    """What the keys of the store's entries begin with; the order's id follows."""
    return f"{_ENTRY}{store}:"


def index_key(store: str) -> str:
    """The store's orders by the time of their last change (ms): a sorted set."""
    return f"enrich:orders:{store}"


def failed_key(store: str) -> str:
    """The store's failed orders by the time they failed (ms): a sorted set."""
    return f"enrich:orders:{store}:failed"


def verify_key(store: str) -> str:
    """The store's orders whose records are to be verified, by the time that is due (ms): a sorted set."""
    return f"enrich:checks:{store}"


def reverify_key(store: str) -> str:
    """The store's ended orders whose records are looked at once more, by the time that is due (ms): a sorted set."""
    return f"enrich:second-looks:{store}"


def waiting_key(store: str) -> str:
    """The store's orders that wait for their status to change, by when to ask for it (ms): a sorted set."""
    return f"enrich:waiting:{store}"


def parked_key(store: str) -> str:
    """The store's orders that wait for its credentials to be accepted, by the time they came (ms): a sorted set."""
    return f"enrich:parked:{store}"


def breaker_key(store: str) -> str:
    """There while the store's credentials are refused."""
    return f"enrich:breaker:{store}"


def webhook_seen_key(store: str) -> str:
    """When a webhook of the store was last received in time (ms)."""
    return f"enrich:webhook-seen:{store}"


def cursor_key(store: str) -> str:
    """How far the store's orders have been reconciled: JSON."""
    return f"enrich:cursor:{store}"


def backfill_key(store: str, span: str) -> str:
    """How far a backfill of the store's orders of that span has come: an order's id."""
    return f"enrich:backfill:{store}:{span}"


def backfill_lock_key(store: str) -> str:
    """There while a backfill of the store is running: who runs it."""
    return f"enrich:backfilling:{store}"


def polling_key(store: str) -> str:
    """There while the store's orders are watched for, because webhooks fail: JSON."""
    return f"enrich:watch:{store}"


def hook_key(store: str) -> str:
    """What is known of the store's webhooks: a hash. ``destination`` is the URL that they are to be sent to."""
    return f"enrich:hook:{store}"
