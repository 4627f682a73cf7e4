"""A Slack channel, by an incoming webhook: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks

Programs that take Slack's format, such as Mattermost and Rocket.Chat, show the message, too.
"""

import json
from collections.abc import Mapping

from pydantic import SecretStr

from service.notify.channels.channel import HttpChannel
from service.notify.messages import Message

# Slack refuses longer texts. (Block Kit: header, section)
MAX_HEADER = 150
MAX_SECTION = 3000


class SlackChannel(HttpChannel):
    """Posts a message as blocks of plain text, in which Slack interprets nothing."""

    def __init__(self, position: int, url: SecretStr) -> None:
        super().__init__("slack", position, url)

    def request(self, message: Message) -> tuple[bytes, Mapping[str, str]]:
        """The blocks, and the headline for notifications."""
        blocks: list[dict[str, object]] = [
            {"type": "header", "text": _plain_text(message.headline, MAX_HEADER)},
            {"type": "section", "text": _plain_text("\n".join(message.lines) or message.headline, MAX_SECTION)},
        ]
        if message.link:
            # The only markup: a link of ours. In it, | and > would end the address.
            link = escape(message.link)
            where = f"<{link.replace('|', '%7C')}|Open>" if message.link_is_url else link
            blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": where}]})
        return json.dumps({"text": escape(message.headline), "blocks": blocks}).encode(), {}


def _plain_text(text: str, limit: int) -> dict[str, object]:
    cut = text if len(text) <= limit else f"{text[: limit - 1]}…"
    return {"type": "plain_text", "text": cut, "emoji": False}


def escape(text: str) -> str:
    """Text in which Slack sees no mentions and no links: it asks to escape these three signs, and no other."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
