"""Mail, by SMTP with TLS. The standard library's client is blocking, so it runs in a thread."""

import asyncio
import smtplib
import socket
import ssl
from contextlib import suppress
from email.message import EmailMessage
from email.utils import formatdate

import httpx
from pydantic import SecretStr

from service.notify.channels.channel import SEND_TIMEOUT_S, Channel, NotDelivered
from service.notify.messages import Message, plain
from service.stores.mail_url import MailAccount, parse_mail_url

# Of one step (connecting, TLS, a command). The whole has SEND_TIMEOUT_S.
_STEP_TIMEOUT_S = 10.0


class MailChannel(Channel):
    """Sends a message as a plain-text mail to all recipients of a mail URL."""

    def __init__(self, position: int, url: SecretStr) -> None:
        super().__init__("mail", position)
        self._url = url
        self._account = parse_mail_url(url.get_secret_value())

    @property
    def host(self) -> str:
        """The mail server."""
        return self._account.host

    @property
    def secret(self) -> str:
        """The URL."""
        return self._url.get_secret_value()

    async def send(self, message: Message, http: httpx.AsyncClient) -> str:
        """Hand the mail to the server. A recipient that it refuses is an error only if it refuses all of them."""
        delivery = _Delivery(self._account)
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                return await asyncio.to_thread(delivery.run, as_mail(message, self._account))
        except TimeoutError:
            raise NotDelivered(f"no answer within {SEND_TIMEOUT_S:g} s") from None
        except smtplib.SMTPRecipientsRefused as error:
            raise NotDelivered(f"all recipients were refused: {_answers(error.recipients)}") from None
        except smtplib.SMTPAuthenticationError as error:
            # Some servers repeat what they got; the code says enough.
            raise NotDelivered(f"{error.smtp_code} user or password was refused") from None
        except smtplib.SMTPResponseException as error:
            raise NotDelivered(f"{error.smtp_code} {_text(error.smtp_error)}") from None
        except smtplib.SMTPException as error:
            raise NotDelivered(plain(str(error))) from None
        except OSError as error:  # ssl's errors, too
            raise NotDelivered(f"no connection: {plain(str(error))}") from None
        finally:
            delivery.cut()


class _Delivery:
    """One SMTP session. ``cut`` may be called from another thread: whatever the session waits for then fails."""

    def __init__(self, account: MailAccount) -> None:
        self._account = account
        self._client: smtplib.SMTP | None = None
        self._is_cut = False

    def run(self, mail: EmailMessage) -> str:
        account, tls = self._account, ssl.create_default_context()
        at = account.host, account.port
        if account.uses_tls:
            client: smtplib.SMTP = smtplib.SMTP_SSL(*at, timeout=_STEP_TIMEOUT_S, context=tls)
        else:
            client = smtplib.SMTP(*at, timeout=_STEP_TIMEOUT_S)
        self._client = client
        if self._is_cut:  # while it connected: nobody waits for the answer, and the mail will be sent again
            client.close()
            raise TimeoutError
        with client:
            client.ehlo_or_helo_if_needed()
            if not account.uses_tls:
                self._start_tls(client, tls)
            if account.user is not None and account.password is not None:
                client.login(account.user, account.password.get_secret_value())
            refused = client.send_message(mail, account.sender, account.recipients)
        taken = f"250 taken for {len(account.recipients) - len(refused)} of {len(account.recipients)} recipients"
        return f"{taken}; refused: {_answers(refused)}" if refused else taken

    def _start_tls(self, client: smtplib.SMTP, tls: ssl.SSLContext) -> None:
        if client.has_extn("starttls"):
            client.starttls(context=tls)
            client.ehlo()
        elif not self._account.is_local:
            raise smtplib.SMTPNotSupportedError("the server offers no TLS (STARTTLS), and without it nothing is sent")

    def cut(self) -> None:
        self._is_cut = True
        sock = self._client.sock if self._client else None
        if sock is not None:
            with suppress(OSError):
                # Unlike close(), it ends what the other thread waits for.
                sock.shutdown(socket.SHUT_RDWR)


def as_mail(message: Message, account: MailAccount) -> EmailMessage:
    """The mail: the headline as its subject, the rest as its text. It asks that nobody answers automatically."""
    mail = EmailMessage()
    mail["Subject"] = message.headline
    mail["From"] = account.sender
    mail["To"] = ", ".join(account.recipients)
    mail["Date"] = formatdate(message.at)
    # The same each time it is sent, so that a mail program shows it once.
    mail["Message-ID"] = f"<{message.id}@{account.sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content("\n\n".join([message.headline, "\n".join(message.lines), message.link]).rstrip() + "\n")
    return mail


def _answers(refused: dict[str, tuple[int, bytes]]) -> str:
    return plain("; ".join(sorted({f"{code} {_text(said)}" for code, said in refused.values()})))


def _text(said: bytes | str) -> str:
    return plain(said.decode(errors="replace") if isinstance(said, bytes) else said)
