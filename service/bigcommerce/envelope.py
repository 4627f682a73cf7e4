"""Reads the envelope of V3 and B2B Edition, ``{"data": …, "meta": …}``, leniently.

``data`` may be an object where an array is documented, or the reverse; null and {} mean that it is empty.
"""

from typing import Any

from service.bigcommerce.error_mapping import error_from_envelope
from service.bigcommerce.transport import Account, Answer, Call
from service.errors import TryAgain

Document = dict[str, Any]


def raise_for_envelope(call: Call, answer: Answer, account: Account) -> Answer:
    """Return the answer, or raise the UpstreamError that its envelope reports within a 2xx."""
    error = error_from_envelope(
        call.operation,
        answer.body,
        is_write=call.is_write,
        resets_in_s=answer.quota.resets_in_s if answer.quota else None,
        hide=[token.get_secret_value() for token in account.access_tokens],
    )
    if error is not None:
        raise error
    return answer


def unexpected_shape(operation: str) -> TryAgain:
    """The error for a read whose answer is 2xx and JSON, but has an undocumented shape."""
    return TryAgain(operation, "the answer has an unexpected shape", status=200)


def data_of(operation: str, body: Any) -> Any:
    """The envelope's ``data``; None for an answer without a body. Raises TryAgain when it is not an envelope."""
    if body is None:
        return None
    if not isinstance(body, dict) or "data" not in body:
        raise unexpected_shape(operation)
    return body["data"]


def rows_of(operation: str, data: Any) -> list[Document]:
    """``data`` as a list of objects, also when it is a single object. Raises TryAgain for anything else."""
    rows = [data] if isinstance(data, dict) and data else data
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise unexpected_shape(operation)
    return rows
