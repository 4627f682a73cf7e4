"""Clients for BigCommerce's APIs. Nothing in here knows this product.

Start with ``StoreApi``: make one for each unit of work (it is cheap), over the one ``Transport`` of the process.
"""

from service.bigcommerce.apis import Api
from service.bigcommerce.clients.store_api import QuotaWaitingApi, StoreApi
from service.bigcommerce.quota_budget import Budget, BudgetState, Priority
from service.bigcommerce.transport import Account, Transport

__all__ = ["Account", "Api", "Budget", "BudgetState", "Priority", "QuotaWaitingApi", "StoreApi", "Transport"]
