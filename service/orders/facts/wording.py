"""Facts in words, for `enrich check`, `enrich orders show` and `enrich rehearse`."""

from datetime import UTC, datetime

from service.orders.facts.fact import Fact, Known, Value

_CHOICES: dict[tuple[Fact, str], str] = {
    (Fact.UPDATE_EXTRA_FIELDS, "merge"): "Update an Order keeps the extra fields that it does not send",
    (Fact.UPDATE_EXTRA_FIELDS, "replace"): "Update an Order deletes the extra fields that it does not send",
    (Fact.LIST_EXTRA_FIELDS, "shown"): "Get All Orders shows extra fields",
    (Fact.LIST_EXTRA_FIELDS, "missing"): "Get All Orders lacks extra fields: each record is read alone",
    (Fact.FIELD_NAME, "fieldName"): "records name their extra fields by fieldName",
    (Fact.FIELD_NAME, "label"): "records name their extra fields by label: they are written by label, too",
    (Fact.DROPDOWN_OPTIONS, "nowhere"): "the options of dropdowns are not shown: their values are not checked before",
    (Fact.API_ORDER_RECORD, "by_itself"): "orders made by API get their record by itself",
    (Fact.API_ORDER_RECORD, "none"): "orders made by API get no record until Create an Order is called",
}
_MEASURES: dict[Fact, str] = {
    Fact.CREATE_TAKEN_UNTIL: "Create an Order was taken up to {seconds:.1f} s after the order",
    Fact.RECORD_THERE_FROM: "somebody else's record was there {seconds:.1f} s after the order",
    Fact.WEBHOOK_DELAY: "webhooks arrive about {seconds:.1f} s after the order",
}


def sentence(fact: Fact, value: Value) -> str:
    """What the fact says."""
    if isinstance(value, str):
        options = f"the options of dropdowns are in {value}" if fact is Fact.DROPDOWN_OPTIONS else f"{fact}: {value}"
        return _CHOICES.get((fact, value), options)
    return _MEASURES.get(fact, f"{fact}: {{seconds}}").format(seconds=value)


def origin(found: Known) -> str:
    """How it is known: by what, how often, when."""
    day = datetime.fromtimestamp(found.at, UTC).strftime("%Y-%m-%d")
    if found.source == "rehearse":
        return f"measured by `enrich rehearse`, last seen {day}"
    return f"seen by {found.agreeing} orders, last on {day}"
