"""The core API's webhooks: registration, state, and blocked domains."""

from collections.abc import Callable
from math import ceil
from typing import Any

import httpx
from starlette.routing import BaseRoute

from service.sandbox.apis.queries import listing
from service.sandbox.gateway import Call, Dialect, Done, Gateway, Handler, Refusal
from service.sandbox.state import Hook
from service.sandbox.webhooks import Webhooks

MAX_PER_SCOPE = 10


def routes(gateway: Gateway, webhooks: Webhooks) -> list[BaseRoute]:
    """The routes for webhooks."""

    def v3(method: str, path: str, operation: str, handler: Handler) -> BaseRoute:
        return gateway.route(Dialect.V3, method, f"/stores/{{store_hash}}/v3{path}", operation, handler)

    def admin(call: Call) -> Done:
        return _admin(call, webhooks)

    return [
        v3("GET", "/hooks/admin", "Get Admin Info", admin),
        v3("GET", "/hooks", "Get Webhooks", hooks),
        v3("POST", "/hooks", "Create a Webhook", create),
        v3("GET", "/hooks/{hook_id:int}", "Get a Webhook", hook),
        v3("PUT", "/hooks/{hook_id:int}", "Update a Webhook", update),
        v3("DELETE", "/hooks/{hook_id:int}", "Delete a Webhook", delete),
    ]


def hooks(call: Call) -> Done:
    """List the store's webhooks, filtered."""
    wanted = [_document(call, hook) for hook in call.store.hooks.values()]
    for name in ("scope", "destination"):
        if value := call.query.get(name):
            wanted = [hook for hook in wanted if hook[name] == value]
    if (active := call.query.get("is_active")) is not None:
        wanted = [hook for hook in wanted if hook["is_active"] is (active.lower() == "true")]
    return listing(call, wanted)


def hook(call: Call) -> Done:
    """Get one webhook."""
    return Done({"data": _document(call, _find(call)), "meta": {}})


def create(call: Call) -> Done:
    """Create a webhook; active unless ``is_active`` is false."""
    fields = _validated(call.fields)
    for name in ("scope", "destination"):
        if name not in fields:
            raise _invalid(**{name: "error.path.missing"})
    _check_scope(call, fields["scope"])
    _check_room(call, fields["scope"], fields["destination"])
    hook = call.store.add_hook(now=call.now, **fields)
    return Done({"data": _document(call, hook), "meta": {}})


def update(call: Call) -> Done:
    """Update a webhook."""
    hook = _find(call)
    fields = _validated(call.fields)
    if not fields:
        raise _invalid(body="At least one field is required.")
    scope, destination = fields.get("scope", hook.scope), fields.get("destination", hook.destination)
    if (scope, destination) != (hook.scope, hook.destination):
        _check_room(call, scope, destination, exclude=hook)
    hook.scope, hook.destination = scope, destination
    hook.headers = fields.get("headers", hook.headers)
    hook.is_active = fields.get("is_active", hook.is_active)
    hook.deactivated = hook.deactivated and not hook.is_active
    hook.updated_at = call.now
    return Done({"data": _document(call, hook), "meta": {}})


def delete(call: Call) -> Done:
    """Delete a webhook."""
    hook = _find(call)
    del call.store.hooks[hook.id]
    return Done({"data": _document(call, hook), "meta": {}})


def _admin(call: Call, webhooks: Webhooks) -> Done:
    blocked = [
        {
            "destination": domain,
            "time_left": ceil(block.until - call.now),
            "reasons": [
                {"failure_description": reason, "count": count, "timestamp": int(call.sandbox.shown(block.since))}
                for reason, count in block.reasons.items()
            ],
        }
        for domain, block in webhooks.blocked(call.store, call.now).items()
    ]
    every = [_document(call, hook) | {"status": _status(hook)} for hook in call.store.hooks.values()]
    return Done({"data": {"emails": [], "hooks_list": every, "blocked_domains": blocked}, "meta": {}})


def _status(hook: Hook) -> str:
    if hook.is_active:
        return "active"
    return "deactivated" if hook.deactivated else "inactive"


def _find(call: Call) -> Hook:
    found = call.store.hooks.get(call.path["hook_id"])
    if found is None:
        raise Refusal(404, f"Webhook with id [{call.path['hook_id']}] not found")
    return found


def _check_scope(call: Call, scope: str) -> None:
    """Events of B2B Edition need an OAuth scope of their own."""
    if scope.startswith("store/company/") and "b2b_modify" in call.store.spec.missing_scopes:
        raise Refusal(403, "You don't have a required scope to access the endpoint")


def _check_room(call: Call, scope: str, destination: str, exclude: Hook | None = None) -> None:
    same_scope = [hook for hook in call.store.hooks.values() if hook.scope == scope and hook is not exclude]
    if any(hook.destination == destination for hook in same_scope):
        raise _invalid(destination="A webhook with this scope and destination exists.")
    if len(same_scope) >= MAX_PER_SCOPE:
        raise _invalid(scope=f"There are {MAX_PER_SCOPE} webhooks with this scope.")


def _validated(fields: dict[str, Any]) -> dict[str, Any]:
    """Validate a hook's fields. Plain HTTP and any port are accepted, as everything runs on one machine."""
    validators: dict[str, Callable[[Any], bool]] = {
        "scope": lambda value: isinstance(value, str) and value.startswith("store/"),
        "destination": _is_destination,
        "is_active": lambda value: isinstance(value, bool),
        "headers": lambda value: value is None or _is_headers(value),
    }
    known = {name: fields[name] for name in validators if name in fields}
    if wrong := {name: "error.invalid" for name, value in known.items() if not validators[name](value)}:
        raise _invalid(**wrong)
    return known


def _is_destination(value: object) -> bool:
    try:
        url = httpx.URL(value) if isinstance(value, str) else httpx.URL("")
    except httpx.InvalidURL:
        return False
    return url.scheme in {"http", "https"} and bool(url.host)


def _is_headers(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _invalid(**errors: str) -> Refusal:
    return Refusal(422, "JSON data is missing or invalid", errors)


def _document(call: Call, hook: Hook) -> dict[str, Any]:
    shown = call.sandbox.shown
    return {
        "id": hook.id,
        "client_id": "sandbox",
        "store_hash": call.store.hash,
        "scope": hook.scope,
        "destination": hook.destination,
        "headers": hook.headers,
        "is_active": hook.is_active,
        "created_at": int(shown(hook.created_at)),
        "updated_at": int(shown(hook.updated_at)),
    }
