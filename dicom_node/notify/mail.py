"""Telling people by e-mail: plain text to the mail server of the hospital (RFC 5321, RFC 8314)."""

import smtplib
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import IO, Final

from appliance.errors import ApplianceError, ConfigError, DeliveryRefused, PeerUnavailable
from appliance.settings import Email, Notices, credential
from dicom_node.notify.message import Message
from dicom_node.notify.reach import address_of
from dicom_node.send.client_tls import ClientContext, client_context
from dicom_node.status import PeerFailed

_TIMEOUT_S: Final = 30.0
_FOR_EVER: Final = range(500, 600)
_MOST_SAID_BYTES: Final = 65_536


class MailReceiver:
    """Sends messages to some people by one mail server.

    Parameters
    ----------
    email
        The server, and the people.
    notices
        With the ranges in which the server must lie.
    sender
        AE title of the node: says which appliance it is.

    Raises
    ------
    ConfigError
        The password or a file of TLS cannot be read.
    """

    name = "e-mail"

    def __init__(self, email: Email, notices: Notices, *, sender: str) -> None:
        self._email = email
        self._notices = notices
        self._sender = sender
        self._context()
        self._password()

    def send(self, message: Message) -> str:
        """Send a message; say what was done.

        It counts as sent once the server has taken it for anybody: sent again, it would come to
        them twice.

        Raises
        ------
        PeerUnavailable, PeerFailed, DeliveryRefused
            It did not arrive.
        ConfigError
            The password or a file of TLS cannot be read any more.
        """
        address = address_of(self._email.host, self._email.port, self._notices)
        secured = self._context()
        with _mail_errors(secured):
            server = _Server(self._email, secured, timeout=_TIMEOUT_S)
            try:
                server.connect(address, self._email.port)
                n_refused = self._speak(server, secured, message)
            finally:
                server.close()
        n_taken = len(self._email.to) - n_refused
        return f"The mail server took it for {n_taken} of {len(self._email.to)} addresses."

    def _speak(self, server: smtplib.SMTP, secured: ClientContext | None, message: Message) -> int:
        if secured is not None and self._email.security == "starttls":
            server.starttls(context=secured)
        if self._email.user is not None:
            server.login(self._email.user, self._password())
        refused = server.send_message(self._letter(message))
        with suppress(OSError):  # it has taken it: how it ends matters to nobody
            server.quit()
        return len(refused)

    def _letter(self, message: Message) -> EmailMessage:
        letter = EmailMessage()
        letter["From"] = self._email.sender
        letter["To"] = ", ".join(self._email.to)
        letter["Subject"] = message.subject
        letter["Date"] = format_datetime(datetime.fromtimestamp(message.at, tz=UTC))
        letter["Message-ID"] = f"<{message.message_id}@{self._email.sender.rpartition('@')[2]}>"
        letter["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
        letter.set_content(message.text(self._sender))
        return letter

    def _context(self) -> ClientContext | None:
        return None if self._email.is_clear else client_context(self._email.tls)

    def _password(self) -> str:
        if self._email.password_file is None:
            return ""
        path = credential(self._email.password_file)
        try:
            password = path.read_text(encoding="utf-8").strip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"notices.email.password_file: {path} cannot be read.") from error
        if not password or not password.isprintable():
            raise ConfigError(
                f"notices.email.password_file: {path} does not hold one password in one line."
            )
        if not password.isascii():  # mail servers differ in how they read others
            raise ConfigError(
                f"notices.email.password_file: the password in {path} has letters beyond ASCII."
            )
        return password


class _Server(smtplib.SMTP):
    """Connects to the address that was checked; the certificate must be for the server's name."""

    def __init__(self, email: Email, secured: ClientContext | None, *, timeout: float) -> None:
        super().__init__(local_hostname="[127.0.0.1]", timeout=timeout)
        named = None if email.tls is None else email.tls.server_name
        self._host = named or email.host  # what STARTTLS checks, too
        self._first = secured if email.security == "tls" else None

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        opened = socket.create_connection((host, port), timeout)
        self.local_hostname = _literal(opened)
        if self._first is None:
            return opened
        return self._first.wrap_socket(opened, server_hostname=self._host)

    def getreply(self) -> tuple[int, bytes]:
        """Read a reply, which may be of many lines, but not without end."""
        if self.file is None and self.sock is not None:
            self.file = _Said(self.sock.makefile("rb"))
        return super().getreply()


class _Said:
    """What a mail server says, as smtplib reads it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._left = _MOST_SAID_BYTES

    def readline(self, most: int) -> bytes:
        """Read a line; raises OSError once it has said too much."""
        line = self._file.readline(most)
        self._left -= len(line)
        if self._left < 0:
            raise OSError("too much")
        return line

    def close(self) -> None:
        """Close it."""
        self._file.close()


def _literal(opened: socket.socket) -> str:
    """Name ourselves by our address (RFC 5321 4.1.3): servers refuse a name that is not whole."""
    address = opened.getsockname()[0].partition("%")[0]
    return f"[IPv6:{address}]" if opened.family is socket.AF_INET6 else f"[{address}]"


@contextmanager
def _mail_errors(secured: ClientContext | None) -> Iterator[None]:
    """Translate what smtplib raises; its texts quote the server, so they are never passed on."""
    try:
        yield
    except smtplib.SMTPNotSupportedError as error:
        raise DeliveryRefused(
            "The mail server does not offer what the settings ask for (STARTTLS or a login)."
        ) from error
    except smtplib.SMTPRecipientsRefused as error:
        raise DeliveryRefused("The mail server refused every address it was given.") from error
    except smtplib.SMTPResponseException as error:
        raise _by_code(error) from error
    except smtplib.SMTPServerDisconnected as error:
        raise _unreached(secured) from error
    except smtplib.SMTPException as error:
        raise DeliveryRefused(_NO_LOGIN) from error
    except OSError as error:  # of ssl, too
        raise _unreached(secured) from error
    except ValueError as error:  # its challenge is no base64
        raise DeliveryRefused(_NO_LOGIN) from error


def _unreached(secured: ClientContext | None) -> ApplianceError:
    failure = None if secured is None else secured.described()
    return failure or PeerUnavailable(
        "The mail server does not answer at its address, or broke off."
    )


def _by_code(error: smtplib.SMTPResponseException) -> ApplianceError:
    is_login = isinstance(error, smtplib.SMTPAuthenticationError)
    what = "does not accept our user and password" if is_login else "did not take the message"
    sentence = f"The mail server {what} (SMTP {error.smtp_code})."
    return DeliveryRefused(sentence) if error.smtp_code in _FOR_EVER else PeerFailed(sentence)


_NO_LOGIN: Final = "The mail server offers no login that we can follow."
