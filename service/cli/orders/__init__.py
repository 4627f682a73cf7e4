"""``enrich orders``: what happened to each order, and what can be done about it."""

import typer

from service.cli.orders.companies import assign_orders, reassign_orders
from service.cli.orders.entries import COLOURS
from service.cli.orders.listing import list_orders
from service.cli.orders.retrying import retry_orders
from service.cli.orders.showing import show_order

__all__ = ["COLOURS", "app"]

app = typer.Typer(help="What happened to each order, and what can be done about it.", no_args_is_help=True)
app.command("list")(list_orders)
app.command("show")(show_order)
app.command("retry")(retry_orders)
app.command("assign")(assign_orders)
app.command("reassign")(reassign_orders)
