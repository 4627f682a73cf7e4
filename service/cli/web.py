"""``enrich web``: the receiver without the workers."""

from service.cli.common.options import HostOption, PortOption
from service.configuration.in_force import publish_configuration
from service.configuration.reloading import Changes, LiveConfiguration
from service.notify.standby import stand_by
from service.process.task_cancellation import run_together
from service.receiver.app import create_app, redis_queue
from service.receiver.authentication import StoreRegistry
from service.receiver.server import serve
from service.redis.client import connect
from service.startup import start
from service.stores import Store


def web(host: HostOption = "127.0.0.1", port: PortOption = 8000) -> None:
    """Run only the webhook receiver.

    Needs REDIS_URL and the stores file (ENRICH_CONFIG, default stores.toml). Reloads the file within two seconds after
    it changes, and on SIGHUP. If the new file has errors, the log shows them and the old configuration stays in use.

    Example: REDIS_URL=redis://localhost:6379/0 enrich web --host 0.0.0.0
    """
    _, redis_url, live = start()
    registry = StoreRegistry(_stores(live))

    async def apply(_: Changes) -> None:
        registry.replace(_stores(live))

    async def follow_stores_file() -> None:
        async with connect(redis_url) as redis:
            await run_together(live.watch_for_changes(apply), publish_configuration(redis, live, "receiver"))

    app = create_app(
        registry,
        redis_queue(redis_url),
        background_task=follow_stores_file,
        stand_by=lambda: stand_by(redis_url, lambda: live.current),
    )
    serve(app, host, port)


def _stores(live: LiveConfiguration) -> dict[str, Store]:
    return {store_hash: configured.store for store_hash, configured in live.current.stores.items()}
