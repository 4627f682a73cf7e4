"""Sign-in links, made where the commands run."""

import getpass
import os

from service.console.address import ConsoleAddress
from service.console.pages.sign_in import link
from service.console.people.access import Role
from service.console.people.sessions import Grant, Sessions
from service.redis.client import connect

# Of a session that begins on the machine itself: a working day.
LOCAL_SESSION_S = 12 * 3600


def system_user() -> str:
    """The user of this system who runs the command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"user {os.getuid()}"


async def make_link_url(redis_url: str, address: ConsoleAddress, grant: Grant) -> str:
    """A link that signs in once with this grant. Errors are Redis's own."""
    async with connect(redis_url) as redis:
        return address.url(link(await Sessions(redis).issue_code(grant)))


async def admin_link(redis_url: str, address: ConsoleAddress) -> str:
    """A link for whoever runs the service on this machine."""
    return await make_link_url(redis_url, address, Grant(system_user(), Role.ADMIN, None, LOCAL_SESSION_S))
