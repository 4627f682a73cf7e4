"""The channels: one file for each, and those that ``[notify]`` names."""

from service.notify.channels.channel import Channel
from service.stores import Notify


def channels_of(notify: Notify) -> list[Channel]:
    """All destinations of ``[notify]``, in the order webhook, slack, teams, mail."""
    # Imported here: a process without [notify] needs neither of them.
    from service.notify.channels.mail import MailChannel
    from service.notify.channels.slack import SlackChannel
    from service.notify.channels.teams import TeamsChannel
    from service.notify.channels.webhook import WebhookChannel

    return [
        *(WebhookChannel(position, url, notify.secrets) for position, url in enumerate(notify.webhook)),
        *(SlackChannel(position, url) for position, url in enumerate(notify.slack)),
        *(TeamsChannel(position, url) for position, url in enumerate(notify.teams)),
        *(MailChannel(position, url) for position, url in enumerate(notify.mail)),
    ]
