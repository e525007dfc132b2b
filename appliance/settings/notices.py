"""Settings of the notices: who hears of a rescan or of trouble when nobody is at the screen."""

import ipaddress
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from appliance.settings.network import ClientTls, is_loopback
from appliance.settings.peers import HttpUrl
from appliance.settings.sections import Network, Port, Section

Subject = Literal["rescan", "stuck", "daemon", "route", "disk"]
"""What a notice is about."""

SUBJECTS: Final[tuple[Subject, ...]] = ("rescan", "stuck", "daemon", "route", "disk")

_CLOCK: Final = r"([01]\d|2[0-3]):[0-5]\d"
_MAILBOX: Final = r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,190}$"
Mailbox = Annotated[str, Field(pattern=_MAILBOX)]


class Webhook(Section):
    """A service that is told by HTTP POST."""

    url: HttpUrl
    tls: ClientTls | None = None
    """For https; None trusts the certificate authorities of the system."""
    token_file: Path | None = None
    """Holds the bearer token that is sent along."""
    path_file: Path | None = None
    """Holds the rest of the url where that is the secret, as chat services have it."""
    waiver: str | None = Field(default=None, min_length=10)
    """Why it may do without TLS; who decided it."""

    @property
    def host(self) -> str:
        """Host of the URL."""
        return (self.url.host or "").strip("[]")

    @property
    def is_clear(self) -> bool:
        """Whether it is spoken to without TLS."""
        return self.url.scheme != "https"

    @model_validator(mode="after")
    def _keeps_its_token(self) -> Self:
        secrets = (self.token_file, self.path_file)
        if self.is_clear and any(secrets) and not is_loopback(self.host):
            raise ValueError("a secret is not sent in clear text: the url is to be https")
        if self.path_file is not None and not str(self.url).endswith("/"):
            raise ValueError("with a path_file the url is to end with /")
        return self


class Email(Section):
    """A mail server that takes messages for some people."""

    host: str = Field(min_length=1)
    port: Port = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    """starttls: begun in clear text and never gone on with in it; tls: from the first byte."""
    tls: ClientTls | None = None
    """None trusts the certificate authorities of the system."""
    sender: Mailbox
    to: tuple[Mailbox, ...] = Field(min_length=1)
    user: str | None = Field(default=None, pattern=r"^[ -~]{1,200}$")
    password_file: Path | None = None
    waiver: str | None = Field(default=None, min_length=10)
    """Why it may do without TLS; who decided it."""

    @property
    def is_clear(self) -> bool:
        """Whether it is spoken to without TLS."""
        return self.security == "none"

    @model_validator(mode="after")
    def _keeps_its_password(self) -> Self:
        if (self.user is None) != (self.password_file is None):
            raise ValueError("user and password_file go together")
        if self.is_clear and self.user is not None and not is_loopback(self.host):
            raise ValueError("a password is not sent in clear text: security is not to be none")
        if self.is_clear and self.tls is not None:
            raise ValueError("tls goes with security starttls or tls")
        return self


class Notices(Section):
    """Who is told, of what, and when. Off unless this table is there."""

    addresses: tuple[Network, ...] = Field(min_length=1)
    """The ranges in which each receiver must lie; a name is looked up anew before each message."""
    webhook: Webhook | None = None
    email: Email | None = None
    tell: tuple[Subject, ...] = SUBJECTS
    quiet_hours: str = Field(default="", pattern=rf"^({_CLOCK}-{_CLOCK})?$")
    """Local time, such as 19:00-07:00: nothing is sent, and one message after them says it all."""
    through_quiet_hours: tuple[Subject, ...] = ()
    """What is told in the quiet hours all the same."""
    gather_s: float = Field(default=30.0, ge=0, le=3600)
    """A message waits so long for more that belongs into it."""
    silent_s: float = Field(default=120.0, ge=15)
    """A daemon, or the journal, that says nothing for longer is told of."""
    route_down_s: float = Field(default=600.0, ge=0)
    """A route that tries in vain for longer is told of."""

    @model_validator(mode="after")
    def _reaches_somebody(self) -> Self:
        if not self.receivers:
            raise ValueError("notices need a webhook or an email table")
        for receiver in self.receivers:
            if not self._may_be_inside(receiver.host):
                raise ValueError(f"{receiver.host} does not lie in notices.addresses")
            if receiver.is_clear and receiver.waiver is None and not is_loopback(receiver.host):
                raise ValueError(
                    "a receiver is in clear text: it needs TLS, or a waiver that says why"
                )
        return self

    @model_validator(mode="after")
    def _has_hours(self) -> Self:
        start, _, end = self.quiet_hours.partition("-")
        if self.quiet_hours and start == end:
            raise ValueError("quiet_hours begin and end at one minute: nothing would ever be sent")
        return self

    @property
    def receivers(self) -> tuple[Webhook | Email, ...]:
        """Whom the settings name."""
        return tuple(one for one in (self.webhook, self.email) if one is not None)

    def holds(self, address: str) -> bool:
        """Whether an address lies in the ranges that receivers may lie in."""
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self.addresses)

    def _may_be_inside(self, host: str) -> bool:
        """Whether a host can lie in the ranges; of a name this shows only when it is looked up."""
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return True
        return self.holds(host)
