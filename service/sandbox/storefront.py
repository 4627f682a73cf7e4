"""Events in a store: orders are placed and change, buyers join Companies; webhooks are sent."""

import asyncio
from collections.abc import Mapping

from service.sandbox.specs import Company, CompanyStatus, OrderEdit, Placement, User
from service.sandbox.state import Metafield, Order, Sandbox, Store
from service.sandbox.webhooks import (
    COMPANY_STATUS_UPDATED,
    COMPANY_USER_CREATED,
    COMPANY_USER_UPDATED,
    METAFIELD_CREATED,
    METAFIELD_DELETED,
    METAFIELD_UPDATED,
    ORDER_CREATED,
    ORDER_UPDATED,
    STATUS_UPDATED,
    Webhooks,
)

AWAITING_FULFILLMENT = 11


class Storefront:
    """Changes what is in a store, and sends the webhooks. ``is_told`` False: they get lost."""

    def __init__(self, sandbox: Sandbox, webhooks: Webhooks) -> None:
        self._sandbox = sandbox
        self._webhooks = webhooks

    def place_order(self, store: Store, placement: Placement) -> Order:
        """Place an order and send its webhook, as the placement says."""
        order = self._sandbox.place_order(store, placement)
        if not placement.drop_webhook and not placement.age:
            self._webhooks.notify_order(
                store,
                order,
                ORDER_CREATED,
                delay=placement.delay_webhook,
                duplicate=placement.duplicate_webhook,
            )
        if placement.complete_after is not None:
            self._webhooks.spawn(self._complete(store, order, placement.complete_after))
        return order

    def change_status(self, store: Store, order: Order, status_id: int, *, is_told: bool = True) -> None:
        """Change the status and send webhooks; does nothing when the order has that status.

        A status is a field of the order: beside its own event, it sends that of any change.
        """
        if status_id != order.document["status_id"]:
            self._set_status(store, order, status_id, is_told=is_told)
            self._order_changed(store, order, is_told=is_told)

    def edit_order(self, store: Store, order: Order, edit: OrderEdit) -> None:
        """Save an order as staff do, and send the webhook, also when the saved values are those it has."""
        store.edit_order(order, edit, self._sandbox.now())
        if edit.status_id is not None and edit.status_id != order.document["status_id"]:
            self._set_status(store, order, edit.status_id, is_told=not edit.drop_webhook)
        self._order_changed(store, order, is_told=not edit.drop_webhook)

    def tell_of_change(self, store: Store, order: Order, status_id: int) -> None:
        """Send the webhook of an order that was changed, after setting its status."""
        if status_id != order.document["status_id"]:
            self._set_status(store, order, status_id, is_told=True)
        self._order_changed(store, order, is_told=True)

    def write_metafield(
        self, store: Store, order: Order, namespace: str, key: str, value: str | None, *, is_told: bool = True
    ) -> None:
        """Create, update or (None) delete the order's metafield of this name, and send the webhook."""
        found = order.metafield(namespace, key)
        if value is None:
            if found:
                self.delete_metafield(store, order, found, is_told=is_told)
        elif found:
            self.update_metafield(store, order, found, {"value": value}, is_told=is_told)
        else:
            self.create_metafield(store, order, namespace, key, value, is_told=is_told)

    def create_metafield(
        self, store: Store, order: Order, namespace: str, key: str, value: str, *, is_told: bool = True
    ) -> Metafield:
        """Add a metafield to the order, whose own date of change stays, and send the webhook."""
        metafield = store.new_metafield(namespace, key, value, self._sandbox.now())
        order.metafields.append(metafield)
        self._metafield_written(store, order, metafield, METAFIELD_CREATED, is_told=is_told)
        return metafield

    def update_metafield(
        self, store: Store, order: Order, metafield: Metafield, changes: Mapping[str, str], *, is_told: bool = True
    ) -> None:
        """Change a metafield of the order, whose own date of change stays, and send the webhook."""
        for name, text in changes.items():
            setattr(metafield, name, text)
        metafield.modified_at = self._sandbox.now()
        self._metafield_written(store, order, metafield, METAFIELD_UPDATED, is_told=is_told)

    def delete_metafield(self, store: Store, order: Order, metafield: Metafield, *, is_told: bool = True) -> None:
        """Delete a metafield of the order, and send the webhook."""
        order.metafields.remove(metafield)
        self._metafield_written(store, order, metafield, METAFIELD_DELETED, is_told=is_told)

    def put_user(self, store: Store, user: User, *, is_told: bool = True) -> None:
        """Make a customer a Company user, or change one, and send the webhook."""
        scope = COMPANY_USER_CREATED if store.put_user(user) else COMPANY_USER_UPDATED
        if is_told:
            self._webhooks.notify(store, scope, {"company_id": user.company_id, "user_id": user.user_id})

    def change_company_status(
        self, store: Store, company: Company, status: CompanyStatus, *, is_told: bool = True
    ) -> None:
        """Change the status of a Company and send a webhook; does nothing when the Company has that status.

        The webhook names a user, too: the Company's first, if there is one.
        """
        if status is company.status:
            return
        store.put_company(company.model_copy(update={"status": status}))
        users = [user.user_id for user in store.spec.users if user.company_id == company.id]
        if is_told:
            data = {"company_id": company.id} | ({"user_id": users[0]} if users else {})
            self._webhooks.notify(store, COMPANY_STATUS_UPDATED, data)

    def _metafield_written(
        self, store: Store, order: Order, metafield: Metafield, scope: str, *, is_told: bool
    ) -> None:
        if is_told:
            data = {"metafield_id": metafield.id, "resource_id": str(order.id)}
            self._webhooks.notify(store, scope, data, order)

    def _order_changed(self, store: Store, order: Order, *, is_told: bool) -> None:
        if is_told:
            self._webhooks.notify_order(store, order, ORDER_UPDATED)

    def _set_status(self, store: Store, order: Order, status_id: int, *, is_told: bool) -> None:
        previous = order.document["status_id"]
        order.document["status_id"] = status_id
        order.modified_at = self._sandbox.now()
        status = {"previous_status_id": previous, "new_status_id": status_id}
        if is_told:
            self._webhooks.notify_order(store, order, STATUS_UPDATED, status=status)

    async def _complete(self, store: Store, order: Order, after: float) -> None:
        await asyncio.sleep(after)
        self.change_status(store, order, AWAITING_FULFILLMENT)
