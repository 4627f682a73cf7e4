"""What ordinary answers teach about a store in passing. It costs no call."""

from collections.abc import Collection, Iterable

from service.bigcommerce.models import ExtraFieldConfig, FieldType, Record, has_content
from service.orders.facts.fact import Fact
from service.orders.facts.store_facts import Facts
from service.orders.state.order_entry import Entry, Sent, Stage, Status


async def learn_from_finished(facts: Facts, entry: Entry) -> None:
    """How long the order's webhook took, and the age at which its Create was taken.

    An order that does not say for sure when it was made teaches neither.
    """
    if entry.window_opened_at is not None:
        return
    store, order_id = entry.store, entry.order_id
    webhook_age = entry.age_at(Stage.RECEIVED)
    if entry.source == "webhook" and Stage.WEBHOOK_SENT in entry.times and webhook_age is not None:
        await facts.observe(store, Fact.WEBHOOK_DELAY, webhook_age, order_id=order_id)
    sent = entry.sent
    is_ours = entry.status is Status.CREATED and sent is not None and sent.by == "create" and sent.answered
    if is_ours and entry.create_age is not None:
        await facts.observe(store, Fact.CREATE_TAKEN_UNTIL, entry.create_age, order_id=order_id)


async def learn_from_record(facts: Facts, entry: Entry, record: Record) -> None:
    """By which name a record shows the fields that we sent, where they have two."""
    name = entry.sent and shown_name(record, entry.sent)
    if name:
        await facts.observe(entry.store, Fact.FIELD_NAME, name, order_id=entry.order_id)


async def learn_from_update(facts: Facts, entry: Entry, record: Record | None, left_out: Collection[str]) -> None:
    """Whether an Update kept the fields that had to be left out of it, by the record in its answer."""
    if not left_out or record is None or not entry.sent or not record.extra_fields.keys() & entry.sent.extra_fields:
        return
    kept = {has_content(record.extra_fields.get(name)) for name in left_out}
    if len(kept) == 1:
        value = "merge" if kept.pop() else "replace"
        await facts.observe(entry.store, Fact.UPDATE_EXTRA_FIELDS, value, order_id=entry.order_id)


async def learn_from_configs(facts: Facts, store: str, configs: Iterable[ExtraFieldConfig]) -> None:
    """Where the configs have the options of dropdowns; nothing where they disagree, or there is no dropdown."""
    if place := options_place(configs):
        await facts.observe(store, Fact.DROPDOWN_OPTIONS, place)


def shown_name(record: Record, sent: Sent) -> str | None:
    """The name by which the record shows our fields; None where it shows none of them, or one by each name."""
    labels = [(name, sent.labels[name]) for name in sent.extra_fields if name in sent.labels]
    by_name = any(name in record.extra_fields for name, _ in labels)
    by_label = any(label in record.extra_fields for _, label in labels)
    return None if by_name == by_label else "label" if by_label else "fieldName"


def options_place(configs: Iterable[ExtraFieldConfig]) -> str | None:
    """The key that holds the options of all dropdowns; None where they disagree, or there is no dropdown."""
    places = {config.options_in or "nowhere" for config in configs if config.type is FieldType.DROPDOWN}
    return places.pop() if len(places) == 1 else None
