"""What is read of the storefront's answers: what is missing or unreadable is None, what is null is empty."""

from typing import Any

import pytest

from service.bigcommerce.clients.storefront_models import BuyerOrder, BuyerProduct


@pytest.mark.parametrize(
    ("fields", "po_number"),
    [
        ({"poNumber": "A-1"}, "A-1"),
        ({"poNumber": 4711}, "4711"),
        ({"poNumber": ""}, ""),
        ({"poNumber": None}, ""),
        ({}, None),
        ({"poNumber": ["A-1"]}, None),
        ({"poNumber": {"value": "A-1"}}, None),
    ],
)
def test_a_po_number_is_shown_empty_or_not_shown(fields: dict[str, Any], po_number: str | None) -> None:
    assert BuyerOrder.model_validate({"id": 1, **fields}).po_number == po_number


ROWS = [{"fieldName": "Source", "fieldValue": "web"}, {"fieldName": "Seats", "fieldValue": 4}]


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"extraFields": ROWS}, {"Source": "web", "Seats": "4"}),
        ({"extraFields": {"extraFields": ROWS}}, {"Source": "web", "Seats": "4"}),
        ({"extraFields": [{"fieldName": "Source", "fieldValue": None}]}, {"Source": ""}),
        ({"extraFields": [{"fieldName": "A", "fieldValue": ""}, {"fieldName": "A", "fieldValue": "x"}]}, {"A": "x"}),
        ({"extraFields": []}, {}),
        ({"extraFields": None}, {}),
        ({}, None),
        ({"extraFields": "x"}, None),
        ({"extraFields": [{"fieldValue": "x"}]}, None),
        ({"extraFields": [{"fieldName": "A", "fieldValue": ["x"]}]}, None),
    ],
)
def test_extra_fields_are_shown_or_not_shown_as_a_whole(fields: dict[str, Any], shown: dict[str, str] | None) -> None:
    assert BuyerOrder.model_validate({"id": 1, **fields}).extra_fields == shown


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"createdAt": "1743105969"}, 1_743_105_969.0),
        ({"createdAt": 1743105969}, 1_743_105_969.0),
        ({"date_created": "Thu, 27 Mar 2025 20:06:09 +0000"}, 1_743_105_969.0),
        ({"createdAt": "yesterday"}, None),
        ({"createdAt": []}, None),
        ({}, None),
    ],
)
def test_times_are_read_in_both_forms(fields: dict[str, Any], seconds: float | None) -> None:
    assert BuyerOrder.model_validate({"orderId": 1, **fields}).created_at == seconds


def test_a_row_of_the_list_and_details_give_the_same_order() -> None:
    listed = {"orderId": "1", "customOrderStatus": "Sent", "totalIncTax": 12.5, "currencyCode": "USD", "poNumber": "A"}
    details = {"id": 1, "custom_status": "Sent", "total_inc_tax": "12.5", "currency_code": "USD", "poNumber": "A"}
    assert BuyerOrder.model_validate(listed) == BuyerOrder.model_validate(details)


@pytest.mark.parametrize(
    "row",
    [
        {"productId": "111", "variantId": "211", "productName": "Carton", "sku": "C-50", "quantity": 2},
        {"product_id": 111, "variant_id": 211, "name": "Carton", "sku": "C-50", "quantity": "2"},
        {"productId": 111, "variantId": 211, "productName": "Carton", "variantSku": "C-50", "quantity": 2},
    ],
)
def test_all_spellings_of_a_product_are_read(row: dict[str, Any]) -> None:
    product = BuyerProduct.model_validate(row)
    assert (product.product_id, product.variant_id, product.name, product.sku, product.quantity) == (
        (111, 211, "Carton", "C-50", 2)
    )


@pytest.mark.parametrize("products", ["x", {"url": "https://x.test", "resource": "/orders/1/products"}, [1], None])
def test_products_that_are_no_list_are_not_shown(products: Any) -> None:
    assert BuyerOrder.model_validate({"id": 1, "products": products}).products is None


def test_nothing_of_the_buyer_is_kept() -> None:
    answer = {"id": 1, "createdEmail": "ada@example.com", "firstName": "Ada", "billing_address": {"city": "Austin"}}
    assert "Ada" not in repr(BuyerOrder.model_validate(answer))
    assert "ada@example.com" not in repr(BuyerOrder.model_validate(answer))
