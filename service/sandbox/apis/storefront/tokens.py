"""B2B Edition's authentication: tokens with which the storefront API is called as a buyer."""

from secrets import token_urlsafe

from starlette.routing import BaseRoute

from service.sandbox.apis.b2b_people import done, required_int
from service.sandbox.gateway import Call, Dialect, Done, Gateway, Refusal
from service.sandbox.state import BuyerToken, Sandbox, Store

DEFAULT_CHANNEL = 1


def routes(gateway: Gateway) -> list[BaseRoute]:
    """The route for tokens."""
    path = "/api/io/auth/customers/storefront"
    return [gateway.route(Dialect.B2B, "POST", path, "Get a B2B Storefront Token", issue)]


def issue(call: Call) -> Done:
    """Issue a token for a customer of the store, with or without a Company."""
    customer_id = required_int(call, "customerId")
    if call.store.customer(customer_id) is None and call.store.company_of(customer_id) is None:
        raise Refusal(404, "Customer does not exist.")
    channel_id = required_int(call, "channelId") if "channelId" in call.fields else DEFAULT_CHANNEL
    return done({"token": [issue_token(call.sandbox, call.store, customer_id, channel_id)]})


def issue_token(sandbox: Sandbox, store: Store, customer_id: int, channel_id: int) -> str:
    """A token that acts as this customer on this channel."""
    token = token_urlsafe(32)
    expires_at = sandbox.now() + sandbox.options.token_lifetime
    store.buyer_tokens[token] = BuyerToken(customer_id, channel_id, expires_at)
    return token
