"""Settings of the ways out: routes and where they lead. What they carry is in `policy`."""

import hashlib
import ipaddress
import json
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from appliance.line import MOST_ASKED_TILES, REPORTS
from appliance.settings.network import is_loopback
from appliance.settings.peers import Confirmation, ObjectStore, Peer, RemoteModel, Server, Web
from appliance.settings.policy import ColouredTiles, EveryTile, Limits, Policy, TruePatient
from appliance.settings.sections import MisplacedValue, Name, Network, Section, second

Kind = Literal["dimse", "stow", "folder", "object_store", "model_servers"]

_TILES: Final = frozenset({"tiles"})
_BARE: Final = frozenset({"outside_sr"})
_MOST_DICOM_TILES: Final = 512
"""In one parcel: each is a file, and deliver holds all of them open."""
_HALVES: Final = 2
_MOST_PIXEL_BYTES: Final = 256_000_000
"""Of the tiles in one request to a model server, and in one parcel for it: both are in memory."""
_MECHANISMS: Final = {
    ("outside", _TILES): "coloured_tiles",
    ("outside", _BARE): "bare_report",
    ("site", _TILES): "every_tile",
}
"""What a place may be given, and by which mechanism; a place that is not here is inside."""


class Route(Section):
    """A way to a recipient."""

    name: Name
    recipient: Name
    place: Literal["inside", "site", "outside"]
    """inside: the hospital's PACS; site: its own model servers; outside: anyone else."""
    kind: Kind
    carries: tuple[
        Literal["SR", "SEG", "ANN", "heat_map", "one_pager", "originals", "tiles", "outside_sr"],
        ...,
    ] = Field(min_length=1)
    """originals: every object byte by byte as the scanner sent it; this is an archive route."""
    peer: Peer | None = None
    web: Web | None = None
    folder: Path | None = None
    store: ObjectStore | None = None
    servers: tuple[Server, ...] = ()
    """Endpoints of one recipient, each as good as the others."""
    model: RemoteModel | None = None
    """What the servers run."""
    addresses: tuple[Network, ...] = ()
    """Inside and site only: the ranges that count as the hospital's; every host must lie in one."""
    confirmation: Confirmation | None = None
    waiver: str | None = Field(default=None, min_length=10)
    """Why this route may do without TLS; who decided it."""
    policy: Policy = TruePatient()
    limits: Limits = Limits()

    @property
    def is_archive(self) -> bool:
        """Whether it takes the scanner's own objects."""
        return "originals" in self.carries

    @property
    def hosts(self) -> tuple[str, ...]:
        """Hosts that the route connects to; none for a folder."""
        ways = (self.peer, self.web, self.store, *self.servers)
        return tuple(way.host for way in ways if way is not None and way.host)

    @property
    def _way(self) -> str:
        """Key of what the route connects to."""
        ways = {"dimse": "peer", "stow": "web", "object_store": "store"}
        return ways.get(self.kind, "servers")

    @property
    def folder_outside(self) -> Path | None:
        """Folder that the route writes into, where it does."""
        if self.store is not None and self.store.url.startswith("file://"):
            return Path(self.store.url.removeprefix("file://"))
        return self.folder

    @property
    def policy_digest(self) -> str:
        """Digest of the terms of a route: whom it serves, what it carries, under which policy."""
        kept = {"recipient", "place", "carries", "policy"}
        terms = self.model_dump(mode="json", include=kept)
        del terms["policy"]["statement"]  # words for people: what was made before may still leave
        return hashlib.sha256(json.dumps(terms, sort_keys=True).encode()).hexdigest()

    @model_validator(mode="after")
    def _suits_its_place(self) -> Self:
        carried = frozenset(self.carries)
        if self.place == "inside":
            self._check_inside(carried)
            return self
        mechanism = _MECHANISMS.get((self.place, carried))
        if mechanism is None:
            raise ValueError(
                "an outside route carries either tiles or outside_sr, nothing else"
                if self.place == "outside"
                else "a route to servers of the site carries tiles, nothing else"
            )
        if self.policy.mechanism != mechanism:
            raise MisplacedValue(
                f"this route needs a policy with mechanism = {mechanism!r}", "policy"
            )
        if self.place == "site":
            self._check_site()
        return self

    def _check_inside(self, carried: frozenset[str]) -> None:
        if self.kind not in ("dimse", "stow") or (carried - REPORTS and carried != {"originals"}):
            raise ValueError(
                "an inside route is of kind dimse or stow and carries reports "
                "(SR, SEG, ANN, heat_map, one_pager), or originals only"
            )
        if self.policy.mechanism != "true_patient":
            raise ValueError("a route inside has the policy true_patient")
        if not all(map(self._is_inside, self.hosts)):
            raise MisplacedValue("the peer's host must be an address inside addresses", self._way)

    def _check_site(self) -> None:
        if self.kind != "model_servers":
            raise ValueError("a route to servers of the site is of kind model_servers")
        if not all(map(self._is_inside, self.hosts)):
            raise MisplacedValue(
                "the host of every server must be an address inside addresses", self._way
            )

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        needed = {
            "dimse": (self.peer is not None, "a peer"),
            "stow": (self.web is not None, "a web table with its url"),
            "folder": (self.folder is not None, "a folder"),
            "object_store": (self.store is not None, "a store table with its url"),
            "model_servers": (bool(self.servers), "servers"),
        }
        folder = self.folder_outside
        if folder is not None and (not folder.is_absolute() or ".." in folder.parts):
            raise ValueError("the folder is to be a whole path from / on, without ..")
        there, words = needed[self.kind]
        if not there:
            raise ValueError(f"a route of kind {self.kind} needs {words}")
        if self.kind == "model_servers" and frozenset(self.carries) != _TILES:
            raise ValueError("a route of kind model_servers carries tiles, nothing else")
        if (self.kind == "model_servers") != (self.model is not None):
            raise ValueError("model goes with kind model_servers: what the servers run")
        if self.confirmation is not None and (self.peer is None or "tiles" in self.carries):
            raise ValueError(
                "a confirmation is asked for by DICOM, for reports and originals: the route needs "
                "a peer"
            )
        return self

    @model_validator(mode="after")
    def _is_protected(self) -> Self:
        """TLS or a written waiver, except on the machine itself."""
        ways = [way for way in (self.peer, self.web, self.store, *self.servers) if way is not None]
        clear = [way.host for way in ways if way.is_clear]
        if self.waiver is None and not all(map(is_loopback, clear)):
            raise MisplacedValue(
                "the route is in clear text: it needs tls, or a waiver that says why", self._way
            )
        return self

    @model_validator(mode="after")
    def _limits_can_be_kept(self) -> Self:
        """Release keeps what may leave in a day, and originals do not pass through its hands."""
        a_day = (self.limits.parcels_per_day, self.limits.tiles_per_day, self.limits.mb_per_day)
        if self.is_archive and any(limit is not None for limit in a_day):
            raise ValueError("an archive route has no limits of a day, only mb_s")
        needed = self.policy.tiles_per_shard if isinstance(self.policy, ColouredTiles) else 0
        if self.limits.tiles_per_day is not None and self.limits.tiles_per_day < needed:
            raise ValueError("tiles_per_day is below tiles_per_shard: no batch could leave")
        if self.kind in ("dimse", "stow") and needed > _MOST_DICOM_TILES:
            raise ValueError(f"tiles_per_shard may be at most {_MOST_DICOM_TILES} in DICOM")
        return self

    @model_validator(mode="after")
    def _fits_into_memory(self) -> Self:
        if isinstance(self.policy, ColouredTiles):
            side_px, shard = self.policy.crop_px, self.policy.tiles_per_shard
        elif isinstance(self.policy, EveryTile):
            side_px, shard = self.policy.tile_px, 1  # release divides them by their size
        else:
            return self
        if self.model is None:
            return self
        most = _MOST_PIXEL_BYTES // (3 * side_px**2)
        if self.model.batch > most:
            raise ValueError(f"model.batch may be at most {most} with tiles so large (256 MB)")
        if shard > min(most, MOST_ASKED_TILES):
            raise ValueError(
                f"tiles_per_shard may be at most {min(most, MOST_ASKED_TILES)} for model servers"
            )
        return self

    def _is_inside(self, host: str) -> bool:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self.addresses)


def check_together(routes: tuple[Route, ...]) -> None:
    """Check that routes fit beside each other.

    Raises
    ------
    ValueError
        Two have one name; a recipient would get tiles and reports; two plans of recipients that
        may collude would overlap or show pixels at two magnifications; or a recipient would get
        the half of a slide that is for two.
    """
    twice = second([route.name for route in routes])
    if twice is not None:
        raise MisplacedValue("two routes have the same name", *("routes", twice, "name"))
    for number, route in enumerate(routes):
        for other in routes[:number]:
            if route.recipient == other.recipient and not _go_together(route, other):
                raise MisplacedValue(
                    f"recipient {route.recipient} may get tiles or reports, never both",
                    *("routes", number, "recipient"),
                )
            wrong = _plans_apart(route, other)
            if wrong is not None:
                raise MisplacedValue(wrong, "routes", number)
    _check_colluders(routes)
    _check_halves(routes)


def _go_together(route: Route, other: Route) -> bool:
    """Whether one recipient may have both; inside, a PACS gets reports and originals."""
    if route.place != other.place:
        return False
    return route.place == "inside" or route.carries == other.carries


def _plans_apart(route: Route, other: Route) -> str | None:
    """Say why two plans for tiles cannot stand beside each other; None when they can."""
    ours, theirs = route.policy, other.policy
    if not isinstance(ours, ColouredTiles) or not isinstance(theirs, ColouredTiles):
        return None
    if route.recipient == other.recipient:
        return f"the recipient {route.recipient} has two routes for tiles"
    if not collude(route, other):
        return None
    if ours.grid != theirs.grid:
        return (
            f"the route {route.name} lays another grid than the route {other.name}, and their "
            "recipients may collude"
        )
    if ours.colour == theirs.colour:
        return (
            f"the route {route.name} has the colour of the route {other.name}, and their "
            "recipients may collude"
        )
    return None


def collude(route: Route, other: Route) -> bool:
    """Whether the recipients of two tile routes may put their tiles together: either says so."""
    return _names(route, other) or _names(other, route)


def _names(route: Route, other: Route) -> bool:
    policy = route.policy
    if not isinstance(policy, ColouredTiles):
        return False
    return policy.colludes_with == "all" or other.recipient in policy.colludes_with


def _check_colluders(routes: tuple[Route, ...]) -> None:
    known = {route.recipient for route in routes if isinstance(route.policy, ColouredTiles)}
    for number, route in enumerate(routes):
        policy = route.policy
        if isinstance(policy, ColouredTiles) and policy.colludes_with != "all":
            for name in sorted(set(policy.colludes_with) - known):
                raise MisplacedValue(
                    f"route {route.name}: no recipient {name} gets tiles",
                    *("routes", number, "policy", "colludes_with"),
                )


def _check_halves(routes: tuple[Route, ...]) -> None:
    """Refuse half a slide to a recipient with whom nobody shares it."""
    tiles = [route for route in routes if isinstance(route.policy, ColouredTiles)]
    for number, route in enumerate(routes):
        policy = route.policy
        if not isinstance(policy, ColouredTiles) or policy.colours != _HALVES:
            continue
        if not any(collude(route, other) for other in tiles if other is not route):
            raise MisplacedValue(
                f"route {route.name}: colours = 2 is for two recipients who may collude; one alone "
                "gets one class of 4",
                *("routes", number, "policy", "colours"),
            )
