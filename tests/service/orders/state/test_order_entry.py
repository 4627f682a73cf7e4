import json

from hypothesis import given
from hypothesis import strategies as st

from service.orders.state.order_entry import Entry, Sent, Stage, Status

texts = st.text(max_size=20)
sents = st.builds(
    Sent,
    by=st.sampled_from(["create", "update"]),
    po_number=st.none() | texts,
    extra_fields=st.dictionaries(texts, texts, max_size=3),
    answered=st.booleans(),
    carried=st.dictionaries(texts, texts | st.lists(texts, max_size=2), max_size=2),
    labels=st.dictionaries(texts, texts, max_size=2),
)
entries = st.builds(
    Entry,
    store=st.just("abc123"),
    order_id=st.just(250),
    status=st.sampled_from(Status),
    reason=st.none() | texts,
    verified=st.none() | st.booleans(),
    po_number=st.none() | texts,
    fields=st.dictionaries(texts, texts, max_size=3),
    kept=st.lists(texts, max_size=3),
    dropped=st.dictionaries(texts, texts, max_size=3),
    customer_id=st.none() | st.integers(1),
    source=st.none() | texts,
    times=st.dictionaries(st.sampled_from(Stage), st.integers(1, 10**10).map(float)),
    ended_at=st.none() | st.integers(1, 10**10).map(float),
    sent=st.none() | sents,
    written=st.dictionaries(texts, st.lists(texts, max_size=2), max_size=2),
    composed=st.booleans(),
    exists=st.booleans(),
    start_over=st.booleans(),
    checks=st.integers(0, 9),
    repaired=st.booleans(),
    trouble=st.none() | texts,
)


@given(entries)
def test_an_entry_survives_the_round_trip_through_redis(entry: Entry) -> None:
    assert Entry.from_hash("abc123", 250, entry.to_hash()) == entry


@given(entries, entries)
def test_an_entry_that_was_read_and_changed_overwrites_the_older_one_completely(older: Entry, newer: Entry) -> None:
    stored = older.to_hash()
    entry = Entry.from_hash("abc123", 250, stored)
    names = ("status", "reason", "verified", "po_number", "fields", "kept", "dropped", "sent", "trouble")
    for _ in range(2):  # a second change may set back what the first has set
        for name in names:
            setattr(entry, name, getattr(newer, name))
        stored |= entry.to_hash()
        read = Entry.from_hash("abc123", 250, stored)
        for name in names:
            assert getattr(read, name) == getattr(newer, name)
        newer = older


def test_attributes_that_never_had_another_value_are_not_written() -> None:
    entry = Entry("abc123", 250, fields={"F": "x"})
    assert entry.to_hash() == {"status": "queued", "fields": '{"F":"x"}'}
    entry.fields = {}
    assert entry.to_hash() == {"status": "queued", "fields": "{}"}


def test_fields_of_a_newer_version_are_ignored() -> None:
    assert Entry.from_hash("abc123", 1, {"status": "created", "colour": '"red"'}).status is Status.CREATED


def test_what_was_sent_is_read_from_older_and_newer_versions() -> None:
    older, newer = (
        '["create","A-1",{"F":"x"},true]',
        '["update",null,{},true,{"T":"y"},{"cc":"Centre"},"storefront","more"]',
    )
    assert Entry.from_hash("abc123", 1, {"sent": older}).sent == Sent("create", "A-1", {"F": "x"}, True)
    assert Entry.from_hash("abc123", 1, {"sent": newer}).sent == Sent(
        "update", None, {}, True, {"T": "y"}, {"cc": "Centre"}, "storefront"
    )


def test_an_older_version_can_read_what_was_sent() -> None:
    sent = Sent("update", "A-1", {"F": "x"}, True, {"T": "y"}, {"cc": "Centre"})
    stored = Entry("abc123", 1, sent=sent).to_hash()["sent"]
    assert json.loads(stored)[:4] == ["update", "A-1", {"F": "x"}, True]


def test_ages_are_on_bigcommerces_clock() -> None:
    entry = Entry("abc123", 250, skew=7.0)
    entry.times = {Stage.CREATED: 1000.0, Stage.WEBHOOK_SENT: 1001.0, Stage.SENT: 995.5}

    assert entry.age_at(Stage.WEBHOOK_SENT) == 1.0
    assert entry.age_at(Stage.SENT) == 2.5
    assert entry.age_at(Stage.VERIFIED) is None
