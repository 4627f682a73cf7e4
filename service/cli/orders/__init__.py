"""``enrich orders``: show what happened to each order, retry orders, and set values by hand."""

import typer

from service.cli.orders.companies import assign_orders, reassign_orders
from service.cli.orders.entry_format import COLOURS
from service.cli.orders.list_command import list_orders
from service.cli.orders.retry_command import retry_orders
from service.cli.orders.set_command import set_values
from service.cli.orders.show_command import show_order

__all__ = ["COLOURS", "app"]

HELP = """Show what happened to each order, and retry orders.

`enrich orders set` sets values by hand for one order.

Orders are kept for 30 days after they are finished, failed orders for 90 days. deploy/docs/commands.md explains the
outcomes.

Example: enrich orders list --status failed --since 7d
"""

app = typer.Typer(help=HELP, no_args_is_help=True)
app.command("list")(list_orders)
app.command("show")(show_order)
app.command("retry")(retry_orders)
app.command("set")(set_values)
app.command("assign")(assign_orders)
app.command("reassign")(reassign_orders)
