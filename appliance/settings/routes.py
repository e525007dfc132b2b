"""Settings of the ways out: routes, their peers, and the policy of what may leave."""

import ipaddress
from pathlib import Path
from typing import Literal, Self

from pydantic import AnyHttpUrl, Field, model_validator

from appliance.line import REPORTS
from appliance.settings.network import ClientTls, ServerTls, is_loopback
from appliance.settings.sections import AETitle, Name, Network, Port, Section


class Peer(Section):
    """A DICOM peer that a route sends to."""

    ae_title: AETitle
    host: str
    port: Port
    calling_ae_title: AETitle = "COVERSLIP"
    tls: ClientTls | None = None
    """None means clear text."""


class Web(Section):
    """A DICOMweb service that a route sends to."""

    url: AnyHttpUrl
    """Base, without `/studies`."""
    tls: ClientTls | None = None
    """For https; None trusts the certificate authorities of the system."""
    token_file: Path | None = None
    """Holds the bearer token that is sent along."""

    @property
    def host(self) -> str:
        """Host of the URL."""
        return (self.url.host or "").strip("[]")


class Confirmation(Section):
    """A product counts as delivered only when the peer has committed to it (PS3.4 J)."""

    wait_s: float = Field(default=30.0, gt=0)
    """How long the association is kept open for the answer; asked again later."""
    report_host: str = "0.0.0.0"  # noqa: S104  the PACS calls back here
    report_port: Port | None = None
    """Where we listen for answers on new associations; None: only on the same one."""
    report_tls: ServerTls | None = None
    """Of that port; None means clear text."""


class Policy(Section):
    """What an outside route may receive. Spelled out in `docs/coverslip.toml`."""

    statement: str = Field(min_length=10)
    """One line: what this policy does not protect against."""
    um_px: float = Field(default=0.5, gt=0)
    cell_px: int = Field(default=256, ge=64)
    crop_px: int = Field(default=192, ge=32)
    colours: Literal[2, 4] = 4
    """2 = checkerboard over two recipients, 4 = the 2 by 2 classes."""
    colour: int = Field(default=0, ge=0, le=3)
    """Which colour class this recipient gets; it gets one only."""
    min_patients: int = Field(default=20, ge=1)
    max_tiles_per_patient: int = Field(default=500, ge=1)
    tiles_per_shard: int = Field(default=256, ge=1)
    jpeg_quality: int = Field(default=90, ge=50, le=100)

    @model_validator(mode="after")
    def _protects(self) -> Self:
        if self.crop_px > 0.75 * self.cell_px:
            raise ValueError("crop_px may be at most 0.75 of cell_px")
        if (self.cell_px - self.crop_px) * self.um_px < MINIMUM_GAP_UM:
            raise ValueError("the mean gap between tiles must be at least 16 µm")
        if self.colour >= self.colours:
            raise ValueError("colour must be below colours")
        return self


MINIMUM_GAP_UM = 16.0


class Route(Section):
    """A way to a recipient."""

    name: Name
    recipient: Name
    place: Literal["inside", "outside"]
    kind: Literal["dimse", "stow", "folder"]
    carries: tuple[
        Literal["SR", "SEG", "ANN", "heat_map", "one_pager", "originals", "tiles", "outside_sr"],
        ...,
    ] = Field(min_length=1)
    """originals: every object byte by byte as the scanner sent it; this is an archive route."""
    peer: Peer | None = None
    web: Web | None = None
    folder: Path | None = None
    addresses: tuple[Network, ...] = ()
    """Inside only: the ranges that count as inside; the peer's host must lie in one."""
    confirmation: Confirmation | None = None
    waiver: str | None = Field(default=None, min_length=10)
    """Why this route may do without TLS; who decided it."""
    policy: Policy | None = None

    @property
    def is_archive(self) -> bool:
        """Whether it takes the scanner's own objects."""
        return "originals" in self.carries

    @property
    def host(self) -> str | None:
        """Host that the route connects to; None for a folder."""
        if self.kind == "dimse" and self.peer is not None:
            return self.peer.host
        return self.web.host if self.kind == "stow" and self.web is not None else None

    @model_validator(mode="after")
    def _suits_its_place(self) -> Self:
        carried = frozenset(self.carries)
        if self.place == "outside":
            if carried not in ({"tiles"}, {"outside_sr"}):
                raise ValueError(
                    "an outside route carries either tiles or outside_sr, nothing else"
                )
            if self.policy is None:
                raise ValueError("an outside route needs a policy")
            return self
        if self.kind == "folder" or (carried - REPORTS and carried != {"originals"}):
            raise ValueError(
                "an inside route is of kind dimse or stow and carries reports "
                "(SR, SEG, ANN, heat_map, one_pager), or originals only"
            )
        if not all(map(self._is_inside, self._hosts())):
            raise ValueError("the peer's host must be an address inside addresses")
        return self

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        carried = frozenset(self.carries)
        if self.kind == "dimse" and self.peer is None:
            raise ValueError("a route of kind dimse needs a peer")
        if self.kind == "stow" and self.web is None:
            raise ValueError("a route of kind stow needs a web table with its url")
        if self.kind == "folder" and self.folder is None:
            raise ValueError("a route of kind folder needs a folder")
        if "tiles" in carried and self.kind != "folder":
            raise ValueError("tiles go to a route of kind folder")
        if self.confirmation is not None and self.peer is None:
            raise ValueError("a confirmation is asked for by DICOM: the route needs a peer")
        return self

    @model_validator(mode="after")
    def _is_protected(self) -> Self:
        """TLS or a written waiver, except on the machine itself."""
        clear = []
        if self.peer is not None and self.peer.tls is None:
            clear.append(self.peer.host)
        if self.web is not None and self.web.url.scheme != "https":
            clear.append(self.web.host)
        if self.waiver is None and not all(map(is_loopback, clear)):
            raise ValueError("the route is in clear text: it needs tls, or a waiver that says why")
        return self

    def _hosts(self) -> list[str]:
        return [one.host for one in (self.peer, self.web) if one is not None]

    def _is_inside(self, host: str) -> bool:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self.addresses)
