"""BigCommerce's two APIs, and nothing about this product.

``StoreApi`` is the way in: one for each piece of work, cheap to make, over one ``Transport`` for the process.
"""

from service.bigcommerce.apis import Api
from service.bigcommerce.budget import Budget, BudgetState, Priority
from service.bigcommerce.store_api import QuotaWaitingApi, StoreApi
from service.bigcommerce.transport import Account, Transport

__all__ = ["Account", "Api", "Budget", "BudgetState", "Priority", "QuotaWaitingApi", "StoreApi", "Transport"]
