"""``enrich sandbox``: a local stand-in for BigCommerce, for tests."""

import asyncio
import time
from typing import Annotated, Any, Literal

import typer

from service import logs
from service.errors import ConfigError, Problem
from service.process.parent_death import terminate_with_parent
from service.sandbox.app import serve
from service.sandbox.options import LIKE, Faults, Options, unused_order_id
from service.settings import Settings


def sandbox(
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on. 0: any free port.")] = 9100,
    host: Annotated[
        str, typer.Option(help="The address to listen on. Keep it local: there is no access control.")
    ] = "127.0.0.1",
    latency: Annotated[float, typer.Option(min=0, help="Average duration of a call, in seconds.")] = 0.15,
    latency_jitter: Annotated[
        float, typer.Option(min=0, help="Largest difference from that average, in seconds.")
    ] = 0.05,
    error_rate: Annotated[
        float, typer.Option(min=0, max=1, help="Share of calls that fail with a 5xx status, 0 to 1.")
    ] = 0.0,
    hang_rate: Annotated[float, typer.Option(min=0, max=1, help="Share of calls that hang, 0 to 1.")] = 0.0,
    hang_seconds: Annotated[float, typer.Option(min=0, help="How long such a call hangs, in seconds.")] = 30.0,
    lost_answer_rate: Annotated[
        float, typer.Option(min=0, max=1, help="Share of calls that are carried out but get no answer, 0 to 1.")
    ] = 0.0,
    read_lag: Annotated[
        float, typer.Option(min=0, help="Age of the data that B2B Edition's reads return, in seconds.")
    ] = 0.0,
    webhook_drop_rate: Annotated[
        float, typer.Option(min=0, max=1, help="Share of webhooks that are never sent, 0 to 1.")
    ] = 0.0,
    webhook_duplicate_rate: Annotated[
        float, typer.Option(min=0, max=1, help="Share of webhooks that are sent twice, 0 to 1.")
    ] = 0.0,
    webhook_delay: Annotated[float, typer.Option(min=0, help="Delay of each webhook, in seconds.")] = 0.0,
    webhook_retry_scale: Annotated[
        float, typer.Option(min=0, help="Factor for the delays between retries of a webhook (60 s, 180 s, …).")
    ] = 1.0,
    clock_skew: Annotated[
        float, typer.Option(help="Seconds that BigCommerce's clock is ahead of this machine's clock.")
    ] = 0.0,
    core_quota: Annotated[int, typer.Option(min=1, help="Core API calls that a store may make in 30 s.")] = 150,
    b2b_quota: Annotated[int, typer.Option(min=1, help="B2B Edition calls that a store may make in 60 s.")] = 150,
    late_create: Annotated[
        Literal["accepted", "refused"],
        typer.Option(help="The answer to Create an Order after the window, while an order has no record."),
    ] = "refused",
    first_order_id: Annotated[
        int | None,
        typer.Option(min=1, help="The ID of the first order. Default: by the clock, so that no ID is used twice."),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(
            metavar="MONTH",
            help="Behave as BigCommerce did then. 2026-07: the platform's server passes on what the buyer typed.",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of the random numbers: the same seed gives the same faults.")
    ] = None,
) -> None:
    """Run a local stand-in for BigCommerce.

    Has both APIs, signed webhooks, configurable faults, and a store "sandbox" with Companies, customers and extra
    fields. It forgets everything when it ends; IDs of orders go on from sandbox to sandbox. Place orders with its
    control API under /sandbox, which answers with the ID:

    \b
        curl -d '{"customer_id": 101}' http://127.0.0.1:9100/sandbox/stores/sandbox/orders

    With --like 2026-07, the PO number, the additional text and the extra fields that a buyer typed (buyer_po,
    buyer_text, buyer_extra_fields of a placed order) get on the record as at today's hosted checkout: after 0.3 s, or
    after 3 s, when they replace what was created meanwhile. These take turns.

    \b
    Example: enrich sandbox --read-lag 1.5 --error-rate 0.2
             enrich sandbox --like 2026-07
    """
    terminate_with_parent()
    preset = _preset(like)
    settings = Settings.load()
    logs.configure(settings.enrich_log_format, settings.enrich_log_level)
    faults = Faults(
        latency=latency,
        latency_jitter=latency_jitter,
        error_rate=error_rate,
        hang_rate=hang_rate,
        hang_seconds=hang_seconds,
        lost_answer_rate=lost_answer_rate,
        read_lag=read_lag,
        webhook_drop_rate=webhook_drop_rate,
        webhook_duplicate_rate=webhook_duplicate_rate,
        webhook_delay=webhook_delay,
        clock_skew=clock_skew,
        seed=seed,
    )
    options = Options(
        faults=faults,
        retry_scale=webhook_retry_scale,
        core_quota=core_quota,
        b2b_quota=b2b_quota,
        late_create=late_create,
        first_order_id=unused_order_id(time.time()) if first_order_id is None else first_order_id,
        **preset,
    )
    asyncio.run(serve(options, host, port))


def _preset(like: str | None) -> dict[str, Any]:
    """The options for ``--like``. Raises ConfigError for a time that the sandbox does not know."""
    if like is not None and like not in LIKE:
        raise ConfigError(Problem(f"--like {like}", "is not known.", f"One of: {', '.join(LIKE)}."))
    return {} if like is None else LIKE[like]
