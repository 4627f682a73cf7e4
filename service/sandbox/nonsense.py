"""Answers that are not the operation's own: another endpoint's, or those of a proxy in front of the API."""

from typing import Any

from starlette.responses import JSONResponse, Response

from service.sandbox.fault_injection import FaultInjector
from service.sandbox.options import ApiName, Nonsense

_ERROR_IN_200 = {"code": 200, "data": {"errMsg": "The upstream is busy."}, "meta": {"message": "SUCCESS"}}


def error_page(status: int) -> Response:
    """An error page of the platform's proxy, which is not JSON."""
    return Response(f"<html><h1>{status}</h1></html>", status, media_type="text/html")


class NonsenseAnswers:
    """Makes nonsense answers. The other endpoints' bodies are the first ones that these have answered."""

    def __init__(self) -> None:
        self._bodies: dict[ApiName, dict[str, Any]] = {"core": {}, "b2b": {}, "storefront": {}}

    def remember(self, api: ApiName, operation: str, body: Any) -> None:
        """Keep an operation's first body that is not empty, as an answer of another endpoint."""
        if body:
            self._bodies[api].setdefault(operation, body)

    def answer(self, kind: Nonsense, api: ApiName, operation: str, injector: FaultInjector) -> Response:
        """A nonsense answer of this kind. Without a body of another endpoint, ``ERROR_IN_200``."""
        match kind:
            case Nonsense.PAGE_503:
                return error_page(503)
            case Nonsense.PAGE_404:
                return error_page(404)
            case Nonsense.NO_ROUTE:
                return JSONResponse({"message": "no Route matched"}, 404)
            case Nonsense.OTHER_ENDPOINT:
                others = [body for name, body in sorted(self._bodies[api].items()) if name != operation]
                return JSONResponse(injector.choice(others or [_ERROR_IN_200]))
            case Nonsense.ERROR_IN_200:
                return JSONResponse(_ERROR_IN_200)
