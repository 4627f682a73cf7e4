"""The names of all log events."""

from enum import StrEnum


class Event(StrEnum):
    """The name of every event, grouped by the part of the product that logs it."""

    # every process
    LOG_LINES_DROPPED = "log_lines_dropped"
    LOOP_FAILED = "loop_failed"
    INTERNAL_ERROR = "internal_error"
    REQUESTS_CANCELLED = "requests_cancelled"

    # what people do with commands
    ACTION = "action"

    # receiver and workers
    STORES_RELOADED = "stores_reloaded"
    STORES_NOT_RELOADED = "stores_not_reloaded"

    # receiver
    RECEIVER_STARTED = "receiver_started"
    RECEIVER_STOPPED = "receiver_stopped"
    CONNECTIONS_EXHAUSTED = "connections_exhausted"
    WEBHOOK_ACCEPTED = "webhook_accepted"
    WEBHOOK_DUPLICATE = "webhook_duplicate"
    WEBHOOK_IGNORED = "webhook_ignored"
    WEBHOOK_REFUSED = "webhook_refused"
    WEBHOOK_WRONG_PATH = "webhook_wrong_path"
    WEBHOOK_NOT_QUEUED = "webhook_not_queued"
    PEOPLE_CHANGED = "people_changed"

    # workers
    WORKER_STARTED = "worker_started"
    WORKER_STOPPING = "worker_stopping"
    WORKER_STOPPED = "worker_stopped"
    WAKEUPS_UNAVAILABLE = "wakeups_unavailable"
    METRICS_NOT_SERVED = "metrics_not_served"
    TRACING_OFF = "tracing_off"
    REDIS_LOST = "redis_lost"
    REDIS_BACK = "redis_back"
    REDIS_UNUSABLE = "redis_unusable"
    CLOCK_SKEW = "clock_skew"

    LEASE_LOST = "lease_lost"
    JOB_REQUEUED = "job_requeued"
    JOB_CRASHED = "job_crashed"
    JOB_UNREADABLE = "job_unreadable"

    # the lifecycle of an order
    ORDER_ENRICHED = "order_enriched"
    ORDER_SKIPPED = "order_skipped"
    ORDER_FAILED = "order_failed"
    ORDER_WAITING = "order_waiting"
    ORDER_HELD = "order_held"
    ORDER_INCOMPLETE = "order_incomplete"
    ORDER_DATE_CHANGED = "order_date_changed"
    ORDER_AWAITING_VALUES = "order_awaiting_values"
    LATE_VALUES_STOPPED = "late_values_stopped"
    ORDER_RECOVERING = "order_recovering"
    STOREFRONT_REFUSED = "storefront_refused"
    STOREFRONT_CLOSED = "storefront_closed"
    STOREFRONT_REOPENED = "storefront_reopened"
    FOLLOW_STOPPED = "follow_stopped"
    VALUES_KEPT = "values_kept"
    FIELD_DROPPED = "field_dropped"
    VALUES_LOST = "values_lost"
    OTHER_COMPANY = "other_company"
    ORDER_TAKEN_UP = "order_taken_up"
    CHECK_POSTPONED = "check_postponed"
    ORDER_PARKED = "order_parked"
    RULE_WITHOUT_VALUES = "rule_without_values"
    RULE_GIVES_VALUES = "rule_gives_values"
    CREDENTIALS_REFUSED = "credentials_refused"
    CREDENTIALS_ACCEPTED = "credentials_accepted"

    # periodic tasks of a store
    PERIODIC_TASK_POSTPONED = "periodic_task_postponed"
    ORDERS_FOUND = "orders_found"
    POLLING_STARTED = "polling_started"
    POLLING_ENDED = "polling_ended"
    HOOK_MISSING = "hook_missing"
    HOOKS_NOT_REGISTERED = "hooks_not_registered"
    HOOK_FOREIGN = "hook_foreign"
    HOOK_REACTIVATED = "hook_reactivated"
    HOOK_NOT_REACTIVATED = "hook_not_reactivated"
    HOOK_HEADERS_DIFFER = "hook_headers_differ"
    HOOK_BLOCKED = "hook_blocked"
    HOOK_IDLE = "hook_idle"
    HOOK_OK = "hook_ok"

    # console
    CONSOLE_STARTED = "console_started"
    CONSOLE_STOPPED = "console_stopped"
    CONSOLE_NOT_STARTED = "console_not_started"
    CONSOLE_ACTION = "console_action"
    RETRY_JOB_ENDED = "retry_job_ended"
    CONSOLE_SIGNED_IN = "console_signed_in"
    CONSOLE_REQUEST_REFUSED = "console_request_refused"

    # notifications
    ALERT_BEGAN = "alert_began"
    ALERT_HAS_MORE = "alert_has_more"
    ALERT_ENDED = "alert_ended"
    NOTIFICATION_SENT = "notification_sent"
    NOTIFICATION_POSTPONED = "notification_postponed"
    NOTIFICATION_DROPPED = "notification_dropped"

    # BigCommerce
    UPSTREAM_CALL = "upstream_call"
    QUOTA_SPENT = "quota_spent"

    # one machine
    REDIS_STARTED = "redis_started"
    REDIS_NOT_STARTED = "redis_not_started"
    PROCESS_ENDED = "process_ended"

    # sandbox
    SANDBOX_STARTED = "sandbox_started"
    SANDBOX_WEBHOOK_NOT_ACKNOWLEDGED = "sandbox_webhook_not_acknowledged"
    SANDBOX_HOOK_DEACTIVATED = "sandbox_hook_deactivated"
    SANDBOX_DOMAIN_BLOCKED = "sandbox_domain_blocked"


# One line for each order that finishes or has to wait: what an admin searches for, so the last lines to be dropped.
CANONICAL = frozenset(
    map(Event, ("order_enriched", "order_skipped", "order_failed", "order_waiting", "order_held", "order_incomplete"))
)
