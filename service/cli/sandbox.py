"""``enrich sandbox``: a BigCommerce of one's own to try things against."""

import asyncio
from typing import Annotated

import typer

from service import logs
from service.process.parent_death import terminate_with_parent
from service.sandbox.app import serve
from service.sandbox.options import Faults, Options
from service.settings import Settings


def sandbox(
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on; 0: any free one.")] = 9100,
    host: Annotated[str, typer.Option(help="The address to listen on; keep it on this machine.")] = "127.0.0.1",
    latency: Annotated[float, typer.Option(min=0, help="Mean seconds that a call takes.")] = 0.15,
    latency_jitter: Annotated[float, typer.Option(min=0, help="Most seconds off that mean, either way.")] = 0.05,
    error_rate: Annotated[float, typer.Option(min=0, max=1, help="Share of calls answered 5xx.")] = 0.0,
    hang_rate: Annotated[float, typer.Option(min=0, max=1, help="Share of calls that hang.")] = 0.0,
    hang_seconds: Annotated[float, typer.Option(min=0, help="How long a call hangs.")] = 30.0,
    lost_answer_rate: Annotated[
        float, typer.Option(min=0, max=1, help="Share of calls that are carried out but not answered.")
    ] = 0.0,
    read_lag: Annotated[float, typer.Option(min=0, help="Seconds that B2B Edition's reads lag behind.")] = 0.0,
    webhook_drop_rate: Annotated[float, typer.Option(min=0, max=1, help="Share of webhooks never sent.")] = 0.0,
    webhook_duplicate_rate: Annotated[float, typer.Option(min=0, max=1, help="Share of webhooks sent twice.")] = 0.0,
    webhook_delay: Annotated[float, typer.Option(min=0, help="Seconds that webhooks come late.")] = 0.0,
    webhook_retry_scale: Annotated[
        float, typer.Option(min=0, help="Factor for the pauses between tries of a webhook (60 s, 180 s, …).")
    ] = 1.0,
    clock_skew: Annotated[float, typer.Option(help="Seconds that BigCommerce's clock is ahead of ours.")] = 0.0,
    core_quota: Annotated[int, typer.Option(min=1, help="Core API calls a store has in 30 s.")] = 150,
    b2b_quota: Annotated[int, typer.Option(min=1, help="B2B Edition calls a store has in 60 s.")] = 150,
    seed: Annotated[int | None, typer.Option(help="Makes chance repeat itself.")] = None,
) -> None:
    """Run a local stand-in for BigCommerce.

    It has both APIs, signed webhooks, faults on demand, and a store "sandbox" with Companies, customers and extra
    fields. Its own API under /sandbox places orders:

    \b
        curl -d '{"customer_id": 101}' http://127.0.0.1:9100/sandbox/stores/sandbox/orders

    Example: enrich sandbox --read-lag 1.5 --error-rate 0.2
    """
    terminate_with_parent()
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
    options = Options(faults=faults, retry_scale=webhook_retry_scale, core_quota=core_quota, b2b_quota=b2b_quota)
    asyncio.run(serve(options, host, port))
