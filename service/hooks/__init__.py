"""A store's webhooks: requirements, problems, saved state, registration."""

from service.hooks.listing import ListedHook, read_listed
from service.hooks.problems import (
    WEBHOOK_PATH,
    HookProblem,
    ProblemKind,
    find_problems,
    first_destination,
    is_receiver,
    needed_hooks,
)
from service.hooks.registration import (
    ChangeKind,
    HookChange,
    StoreChanges,
    destination_of,
    find_ours,
    register,
    remove,
    repair,
)
from service.hooks.scopes import Scopes, scopes_of
from service.hooks.state import (
    HookState,
    has_delivery_problem,
    parse_problems,
    request_check,
    request_check_now,
    save_hook_state,
    set_destination,
    was_check_requested,
)

__all__ = [
    "WEBHOOK_PATH",
    "ChangeKind",
    "HookChange",
    "HookProblem",
    "HookState",
    "ListedHook",
    "ProblemKind",
    "Scopes",
    "StoreChanges",
    "destination_of",
    "find_ours",
    "find_problems",
    "first_destination",
    "has_delivery_problem",
    "is_receiver",
    "needed_hooks",
    "parse_problems",
    "read_listed",
    "register",
    "remove",
    "repair",
    "request_check",
    "request_check_now",
    "save_hook_state",
    "scopes_of",
    "set_destination",
    "was_check_requested",
]
