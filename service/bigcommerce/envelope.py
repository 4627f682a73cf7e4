"""The envelope of V3 and of B2B Edition, ``{"data": …, "meta": …}``, opened leniently.

``data`` comes as an object where an array is documented, and the other way round; null and {} stand for nothing.
"""

from typing import Any

from service.bigcommerce.error_mapping import of_envelope
from service.bigcommerce.transport import Account, Answer, Call
from service.errors import TryAgain

Document = dict[str, Any]


def opened(call: Call, answer: Answer, account: Account) -> Answer:
    """The same answer. Raises UpstreamError's subclasses when, within a 2xx, its envelope tells of an error."""
    error = of_envelope(
        call.operation,
        answer.body,
        is_write=call.is_write,
        resets_in_s=answer.quota.resets_in_s if answer.quota else None,
        hide=[token.get_secret_value() for token in account.access_tokens],
    )
    if error is not None:
        raise error
    return answer


def unreadable(operation: str) -> TryAgain:
    """The verdict on a read whose answer is 2xx and JSON, but not what the call is documented to answer."""
    return TryAgain(operation, "the answer cannot be understood", status=200)


def data_of(operation: str, body: Any) -> Any:
    """What is in the envelope; no body at all is null. TryAgain when it is no envelope."""
    if body is None:
        return None
    if not isinstance(body, dict) or "data" not in body:
        raise unreadable(operation)
    return body["data"]


def rows_of(operation: str, data: Any) -> list[Document]:
    """A list of objects, whichever way it came. TryAgain when it is something else."""
    rows = [data] if isinstance(data, dict) and data else data
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise unreadable(operation)
    return rows
