"""A Teams channel or chat, by a workflow ("When a Teams webhook request is received") that takes an Adaptive Card.

https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
The incoming webhooks of Office 365 connectors and their message cards are retired.
"""

import json
from collections.abc import Mapping

from pydantic import SecretStr

from service.notify.channels.channel import HttpChannel
from service.notify.messages import Message

_COLOURS = {"critical": "Attention", "warning": "Warning", "info": "Default"}


class TeamsChannel(HttpChannel):
    """Posts a message as an Adaptive Card. Text runs, unlike text blocks, are not read as Markdown."""

    def __init__(self, position: int, url: SecretStr) -> None:
        super().__init__("teams", position, url)

    def request(self, message: Message) -> tuple[bytes, Mapping[str, str]]:
        """The card, as the attachment of a message."""
        colour = "Good" if message.event == "ended" else _COLOURS[message.severity]
        lines = [*message.lines, *([] if message.link_is_url or not message.link else [message.link])]
        card: dict[str, object] = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "msteams": {"width": "Full"},
            "body": [
                _paragraph(message.headline, weight="Bolder", size="Medium", color=colour),
                *map(_paragraph, lines),
            ],
        }
        if message.link_is_url:
            card["actions"] = [{"type": "Action.OpenUrl", "title": "Open", "url": message.link}]
        attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
        return json.dumps({"type": "message", "attachments": [attachment]}).encode(), {}


def _paragraph(text: str, **style: str) -> dict[str, object]:
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **style}]}
