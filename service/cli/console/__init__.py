"""``enrich console``: the web page for people, sign-in links, sessions."""

import typer

from service.cli.console.link_command import make_link
from service.cli.console.serve_command import serve_console
from service.cli.console.sessions_command import list_sessions

__all__ = ["app"]

app = typer.Typer(invoke_without_command=True, callback=serve_console)
app.command("link")(make_link)
app.command("sessions")(list_sessions)
