"""Any JSON in place of the storefront's documents: it is read without an error, and as JSON again."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from service.bigcommerce.clients.storefront_models import BuyerOrder, BuyerProduct

PLAIN = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        ["1743105969", "1e400", "Thu, 27 Mar 2025 20:06:09 +0000", "Mon, 99 Foo 0000", "nan", "-1", "1.5"]
    )
)
ANY_JSON = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def names(model: type[BaseModel]) -> list[str]:
    """All names under which the model reads a field."""
    found = [name for name, field in model.model_fields.items() if field.validation_alias is None]
    for field in model.model_fields.values():
        alias = field.validation_alias
        found += [alias] if isinstance(alias, str) else [str(each) for each in getattr(alias, "choices", ())]
    return found


FIELD_ROWS = st.lists(st.fixed_dictionaries({"fieldName": ANY_JSON, "fieldValue": ANY_JSON}), max_size=3)
PRODUCT = st.dictionaries(st.sampled_from(names(BuyerProduct)), ANY_JSON, max_size=6)
ORDER = st.dictionaries(st.sampled_from(names(BuyerOrder)), ANY_JSON | FIELD_ROWS | st.lists(PRODUCT, max_size=2))


@given(ORDER)
def test_any_order_is_read(document: dict[str, Any]) -> None:
    order = BuyerOrder.model_validate(document)
    json.dumps(order.model_dump())
    if "poNumber" not in document or isinstance(document["poNumber"], list | dict):
        assert order.po_number is None, "what is not shown is not empty"


@given(PRODUCT)
def test_any_product_is_read(document: dict[str, Any]) -> None:
    json.dumps(BuyerProduct.model_validate(document).model_dump())
