"""Search for orders in the ledger: for `enrich orders list` and the console."""

from service.orders.search.order_filter import OrderFilter
from service.orders.search.pages import Page, find, find_page

__all__ = ["OrderFilter", "Page", "find", "find_page"]
