"""Events in a store: orders are placed and change their status, and webhooks are sent."""

import asyncio

from service.sandbox.specs import Placement, User
from service.sandbox.state import Order, Sandbox, Store
from service.sandbox.webhooks import COMPANY_USER_CREATED, ORDER_CREATED, STATUS_UPDATED, Webhooks

AWAITING_FULFILLMENT = 11


class Storefront:
    """Places orders and changes their status, and sends the webhooks."""

    def __init__(self, sandbox: Sandbox, webhooks: Webhooks) -> None:
        self._sandbox = sandbox
        self._webhooks = webhooks

    def place_order(self, store: Store, placement: Placement) -> Order:
        """Place an order and send its webhook, as the placement says."""
        order = self._sandbox.place_order(store, placement)
        if not placement.drop_webhook and not placement.age:
            self._webhooks.notify(
                store,
                order,
                ORDER_CREATED,
                delay=placement.delay_webhook,
                duplicate=placement.duplicate_webhook,
            )
        if placement.complete_after is not None:
            self._webhooks.spawn(self._complete(store, order, placement.complete_after))
        return order

    def change_status(self, store: Store, order: Order, status_id: int) -> None:
        """Change the status and send a webhook; does nothing when the order has that status."""
        previous = order.document["status_id"]
        if status_id == previous:
            return
        order.document["status_id"] = status_id
        order.modified_at = self._sandbox.now()
        status = {"previous_status_id": previous, "new_status_id": status_id}
        self._webhooks.notify(store, order, STATUS_UPDATED, status=status)

    def add_user(self, store: Store, user: User) -> None:
        """Make a customer a Company user and send the webhook. The customer's earlier orders stay as they are."""
        store.spec = store.spec.model_copy(update={"users": (*store.spec.users, user)})
        self._webhooks.notify_of_people(
            store, COMPANY_USER_CREATED, company_id=user.company_id, user_id=user.id or 9_000_000 + user.customer_id
        )

    async def _complete(self, store: Store, order: Order, after: float) -> None:
        await asyncio.sleep(after)
        self.change_status(store, order, AWAITING_FULFILLMENT)
