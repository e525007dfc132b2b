"""The vault's ledger: what every recipient ever got of every physical container, and on which day.

Its rows are written once, sealed as a whole, and counted: one that is changed by hand does not
open, and one that is taken away is missed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select

from appliance.errors import TransientError
from appliance.stores.vault_cells import DEPARTURE, GRANT, PLACEMENTS, TILE
from appliance.stores.vault_rows import Rows, tallied
from appliance.stores.vault_schema import departures, grants, pooled, samplings

EVERYONE: Final = "all"
"""Value of `Sampling.colludes_with` that means every recipient outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """One recipient's one sample of one physical container, for ever."""

    container: str
    """Keyed pseudonym of the container."""
    recipient: str
    patient: str
    """Keyed pseudonym of the patient."""
    slide_id: str
    """The scan the sample was taken from."""
    place: str = "outside"
    """Where the recipient was then: "site" or "outside"."""
    plan_digest: str
    """Digest of the plan's terms; another plan may not be laid over this one."""
    colludes_with: str = EVERYONE
    """Whom the recipient was declared to collude with then: `EVERYONE`, or names by comma."""
    n_tiles: int
    placements: bytes
    """The sealed tile manifest: JSON of tile id, place and transform."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What a decision about a sample rests on; it may not change before the sample is written."""

    beside: tuple[Sampling, ...]
    """Every sample ever taken of the container, by recipient."""
    given: int
    """How many tiles of the patient the recipient was ever given, over all containers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What leaves: of one parcel, or of one route on one day."""

    n_parcels: int = 1
    n_tiles: int = 0
    size_bytes: int = 0

    def __add__(self, other: "Load") -> "Load":
        return Load(
            n_parcels=self.n_parcels + other.n_parcels,
            n_tiles=self.n_tiles + other.n_tiles,
            size_bytes=self.size_bytes + other.size_bytes,
        )


NOTHING: Final = Load(n_parcels=0)


class Ledger(Rows):
    """Grants, samples and departures; a row that was altered raises IdentityDoubt."""

    def grant(self, container: str, recipient: str, kind: str) -> bool:
        """Say that a recipient gets this kind of a container; False when it got the other kind."""
        place = (grants.c.container == container) & (grants.c.recipient == recipient)
        with self._engine.begin() as connection:
            row = connection.execute(select(grants).where(place)).first()
            if row is not None:
                GRANT.open(self._cipher, row)
                return bool(row.kind == kind)
            columns = {"container": container, "recipient": recipient, "kind": kind}
            self._add_for_ever(connection, GRANT, b"", **columns)
        return True

    def samplings(self, container: str) -> tuple[Sampling, ...]:
        """Every sample ever taken of a container, by recipient."""
        with self._reader.connect() as connection:
            return self._samplings(connection, container=container)

    def samplings_of(self, recipient: str) -> tuple[Sampling, ...]:
        """Every sample that a recipient was ever given, by container."""
        with self._reader.connect() as connection:
            return self._samplings(connection, recipient=recipient)

    def given(self, patient: str, recipient: str) -> int:
        """How many tiles of a patient a recipient was ever given, over all containers."""
        with self._reader.connect() as connection:
            return self._given(connection, patient, recipient)

    def basis(self, container: str, *, patient: str, recipient: str) -> Basis:
        """Give what a decision about a sample of a container rests on."""
        with self._reader.connect() as connection:
            return self._basis(connection, container, patient, recipient)

    def sample(
        self,
        sampling: Sampling,
        *,
        route: str,
        tiles: Mapping[str, bytes],
        basis: Basis | None = None,
    ) -> bool:
        """Write one sample into the ledger and its tiles into the pool, in one commit.

        Parameters
        ----------
        sampling, route, tiles
            The sample; content of each tile by tile id.
        basis
            What was known when it was decided upon.

        Returns
        -------
        bool
            False, and nothing changed, when this recipient was given a sample of this container
            before.

        Raises
        ------
        TransientError
            Another release daemon sampled the container or the patient since; decide again.
        """
        place = (samplings.c.container == sampling.container) & (
            samplings.c.recipient == sampling.recipient
        )
        with self._engine.begin() as connection:
            if connection.scalar(select(samplings.c.n_tiles).where(place)) is not None:
                return False
            now = self._basis(connection, sampling.container, sampling.patient, sampling.recipient)
            if basis not in {None, now}:
                raise TransientError("Another release daemon works on this patient's slides too.")
            self._add_for_ever(
                connection,
                PLACEMENTS,
                sampling.placements,
                container=sampling.container,
                recipient=sampling.recipient,
                patient=sampling.patient,
                slide_id=sampling.slide_id,
                place=sampling.place,
                plan_digest=sampling.plan_digest,
                colludes_with=sampling.colludes_with,
                n_tiles=sampling.n_tiles,
            )
            beside = {"route": route, "patient": sampling.patient}
            rows = [
                TILE.row(self._cipher, content, tile_id=tile_id, **beside)
                for tile_id, content in tiles.items()
            ]
            if rows:
                connection.execute(insert(pooled), rows)
        return True

    def allot(
        self,
        parcel_id: str,
        route: str,
        load: Load,
        *,
        today: int,
        choose: Callable[[Mapping[int, Load]], int],
    ) -> int:
        """Give a parcel the day on which it may leave, once.

        Parameters
        ----------
        parcel_id, route, load
            The parcel. One that was given a day before keeps it.
        today
            Days since the epoch, UTC.
        choose
            Given what leaves on each day from today on, chooses one.

        Returns
        -------
        int
            Days since the epoch, UTC.
        """
        ours = (departures.c.parcel_id == parcel_id) & (departures.c.route == route)
        with self._engine.begin() as connection:
            row = connection.execute(select(departures).where(ours)).first()
            if row is not None:
                DEPARTURE.open(self._cipher, row)
                return int(row.day)
            later = (departures.c.route == route) & (departures.c.day >= today)
            day = choose(self._loads(connection.execute(select(departures).where(later)).all()))
            self._add_for_ever(
                connection,
                DEPARTURE,
                b"",
                parcel_id=parcel_id,
                route=route,
                day=day,
                n_tiles=load.n_tiles,
                size_bytes=load.size_bytes,
            )
        return day

    def departing(self, route: str, *, today: int) -> Mapping[int, Load]:
        """Tell what leaves on a route on each day from today on."""
        later = (departures.c.route == route) & (departures.c.day >= today)
        with self._reader.connect() as connection:
            return self._loads(connection.execute(select(departures).where(later)).all())

    def _loads(self, rows: Sequence[Row[Any]]) -> dict[int, Load]:
        loads: dict[int, Load] = {}
        for row in rows:
            DEPARTURE.open(self._cipher, row)
            load = Load(n_tiles=row.n_tiles, size_bytes=row.size_bytes)
            loads[row.day] = loads.get(row.day, NOTHING) + load
        return loads

    def _basis(self, connection: Connection, container: str, patient: str, recipient: str) -> Basis:
        return Basis(
            beside=self._samplings(connection, container=container),
            given=self._given(connection, patient, recipient),
        )

    def _given(self, connection: Connection, patient: str, recipient: str) -> int:
        found = self._samplings(connection, patient=patient, recipient=recipient)
        return sum(sampling.n_tiles for sampling in found)

    def _samplings(self, connection: Connection, **columns: str) -> tuple[Sampling, ...]:
        statement = (
            select(samplings)
            .filter_by(**columns)
            .order_by(samplings.c.recipient, samplings.c.container)
        )
        tallied(connection, samplings, self._cipher)
        rows = connection.execute(statement).all()
        return tuple(
            Sampling(
                container=row.container,
                recipient=row.recipient,
                patient=row.patient,
                slide_id=row.slide_id,
                place=row.place,
                plan_digest=row.plan_digest,
                colludes_with=row.colludes_with,
                n_tiles=row.n_tiles,
                placements=PLACEMENTS.open(self._cipher, row),
            )
            for row in rows
        )
