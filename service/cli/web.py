"""``enrich web``: the receiver alone."""

from service.cli.common.options import HostOption, PortOption
from service.configuration.reloading import Changes, LiveConfiguration
from service.receiver.app import create_app, redis_queue
from service.receiver.authentication import StoreRegistry
from service.receiver.server import serve
from service.startup import start
from service.stores import Store


def web(host: HostOption = "127.0.0.1", port: PortOption = 8000) -> None:
    """Run the webhook receiver alone.

    Needs REDIS_URL and the stores file (ENRICH_CONFIG, default stores.toml). A change of that file is taken up
    within two seconds, and on SIGHUP; when something is wrong with it, the log says so and nothing changes.

    Example: REDIS_URL=redis://localhost:6379/0 enrich web --host 0.0.0.0
    """
    _, redis_url, live = start()
    book = StoreRegistry(_stores(live))

    async def take(_: Changes) -> None:
        book.replace(_stores(live))

    serve(create_app(book, redis_queue(redis_url), keep_up=lambda: live.follow(take)), host, port)


def _stores(live: LiveConfiguration) -> dict[str, Store]:
    return {store_hash: configured.store for store_hash, configured in live.current.stores.items()}
