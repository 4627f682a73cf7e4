"""The stores file: which stores there are, their secrets, and their rules as written.

Everything wrong in a file is reported at once, each problem with its table, its key and the cure. The value of a
secret is in no message and in no ``repr``.
"""

from service.stores.file_stamps import Files, Stamp, stamp
from service.stores.loading import Reading, read_stores
from service.stores.messages import did_you_mean, nearest
from service.stores.models import Endpoints, Rule, Store, StoresFile, is_loopback, plain_number
from service.stores.validation_errors import rule_place

__all__ = [
    "Endpoints",
    "Files",
    "Reading",
    "Rule",
    "Stamp",
    "Store",
    "StoresFile",
    "did_you_mean",
    "is_loopback",
    "nearest",
    "plain_number",
    "read_stores",
    "rule_place",
    "stamp",
]
