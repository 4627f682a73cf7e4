"""The stores file: the stores, their secrets, and their rules as written.

All problems of a file are reported at once, each with its table, its key and the cure. No message and no ``repr``
contains the value of a secret.
"""

from service.stores.field_types import is_loopback
from service.stores.file_stamps import FileReader, Stamp, content_digest, stamp
from service.stores.loading import ReadResult, read_stores, store_names
from service.stores.messages import did_you_mean, nearest
from service.stores.models import Endpoints, PersonRights, Rule, Store, StoresFile, plain_number
from service.stores.notify_table import Notify
from service.stores.validation_errors import misplaced_key_cure, rule_place

__all__ = [
    "Endpoints",
    "FileReader",
    "Notify",
    "PersonRights",
    "ReadResult",
    "Rule",
    "Stamp",
    "Store",
    "StoresFile",
    "content_digest",
    "did_you_mean",
    "is_loopback",
    "misplaced_key_cure",
    "nearest",
    "plain_number",
    "read_stores",
    "rule_place",
    "stamp",
    "store_names",
]
