"""The vault's ledger: what every recipient ever got of every physical container, and on which day.

Its rows are written once, sealed as a whole, and counted: one that is changed by hand does not
open, and one that is taken away is missed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Column, Connection, Row, insert, select

from appliance.errors import TransientError
from appliance.stores.vault_cells import DEPARTURE, GRANT, PLACEMENTS, TILE, Cells
from appliance.stores.vault_rows import Rows, missing, tallied
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


_PREFIX: Final = 2
"""Characters that a bucket is named by: a thousand buckets, of 32 possible ones each."""
_LAST: Final = "\U0010ffff"

NOTHING: Final = Load(n_parcels=0)


class Ledger(Rows):
    """Grants, samples and departures; a row that was altered raises IdentityDoubt."""

    def grant(self, container: str, recipient: str, kind: str) -> bool:
        """Say that a recipient gets this kind of a container; False when it got the other kind."""
        with self._engine.begin() as connection:
            rows = self._bucket(connection, GRANT, grants.c.container, container)
            granted = [row.kind for row in rows if row.recipient == recipient]
            if granted:
                return granted == [kind]
            columns = {"container": container, "recipient": recipient, "kind": kind}
            buckets = [_bucket_of(grants.c.container, container)]
            self._add_for_ever(connection, GRANT, b"", buckets=buckets, **columns)
        return True

    def samplings(self, container: str) -> tuple[Sampling, ...]:
        """Every sample ever taken of a container, by recipient."""
        with self._reader.connect() as connection:
            return self._samplings(connection, container)

    def samplings_of(self, recipient: str) -> tuple[Sampling, ...]:
        """Every sample that a recipient was ever given, by container."""
        chosen = samplings.c.recipient == recipient
        statement = select(samplings).where(chosen).order_by(samplings.c.container)
        with self._reader.connect() as connection:
            tallied(connection, samplings, self._cipher)
            rows = connection.execute(statement).all()
        return tuple(map(self._sampling, rows))

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
        terms: str = "",
        basis: Basis | None = None,
    ) -> bool:
        """Write one sample into the ledger and its tiles into the pool, in one commit.

        Parameters
        ----------
        sampling, route, tiles
            The sample; content of each tile by tile id.
        terms
            Digest of the terms under which the tiles were cut; only under these may they leave.
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
        with self._engine.begin() as connection:
            now = self._basis(connection, sampling.container, sampling.patient, sampling.recipient)
            if any(earlier.recipient == sampling.recipient for earlier in now.beside):
                return False
            if basis not in {None, now}:
                raise TransientError("Another release daemon works on this patient's slides too.")
            self._add_for_ever(
                connection,
                PLACEMENTS,
                sampling.placements,
                buckets=[
                    _bucket_of(samplings.c.container, sampling.container),
                    _bucket_of(samplings.c.patient, sampling.patient),
                ],
                container=sampling.container,
                recipient=sampling.recipient,
                patient=sampling.patient,
                slide_id=sampling.slide_id,
                place=sampling.place,
                plan_digest=sampling.plan_digest,
                colludes_with=sampling.colludes_with,
                n_tiles=sampling.n_tiles,
            )
            beside = {"route": route, "terms": terms, "patient": sampling.patient}
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
            day = choose(self._departing(connection, route, today))
            self._add_for_ever(
                connection,
                DEPARTURE,
                b"",
                buckets=[f"{route} {day}"],
                parcel_id=parcel_id,
                route=route,
                day=day,
                n_tiles=load.n_tiles,
                size_bytes=load.size_bytes,
            )
        return day

    def departing(self, route: str, *, today: int) -> Mapping[int, Load]:
        """Tell what leaves on a route on each day from today on."""
        with self._reader.connect() as connection:
            return self._departing(connection, route, today)

    def _departing(self, connection: Connection, route: str, today: int) -> dict[int, Load]:
        counts = tallied(connection, departures, self._cipher)
        later = (departures.c.route == route) & (departures.c.day >= today)
        loads: dict[int, Load] = {}
        for row in connection.execute(select(departures).where(later)):
            DEPARTURE.open(self._cipher, row)
            load = Load(n_tiles=row.n_tiles, size_bytes=row.size_bytes)
            loads[row.day] = loads.get(row.day, NOTHING) + load
        expected = {
            int(day): n
            for name, _, day, n in ((*bucket.partition(" "), n) for bucket, n in counts.items())
            if name == route and int(day) >= today
        }
        if {day: load.n_parcels for day, load in loads.items()} != expected:
            raise missing(departures)
        return loads

    def _basis(self, connection: Connection, container: str, patient: str, recipient: str) -> Basis:
        return Basis(
            beside=self._samplings(connection, container),
            given=self._given(connection, patient, recipient),
        )

    def _given(self, connection: Connection, patient: str, recipient: str) -> int:
        rows = self._bucket(connection, PLACEMENTS, samplings.c.patient, patient)
        return sum(row.n_tiles for row in rows if row.recipient == recipient)

    def _samplings(self, connection: Connection, container: str) -> tuple[Sampling, ...]:
        rows = self._bucket(connection, PLACEMENTS, samplings.c.container, container)
        return tuple(map(self._sampling, sorted(rows, key=lambda row: str(row.recipient))))

    def _sampling(self, row: Row[Any]) -> Sampling:
        return Sampling(
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

    def _bucket(
        self, connection: Connection, cells: Cells, column: Column[str], value: str
    ) -> list[Row[Any]]:
        """Give the rows with a value in a column, after all of their bucket were opened."""
        start = value[:_PREFIX]
        counts = tallied(connection, cells.table, self._cipher)
        near = (column >= start) & (column < start + _LAST)
        rows = [
            row
            for row in connection.execute(select(cells.table).where(near))
            if getattr(row, column.name)[:_PREFIX] == start
        ]
        if len(rows) != counts.get(_bucket_of(column, value), 0):
            raise missing(cells.table)
        for row in rows:
            cells.open(self._cipher, row)
        return [row for row in rows if getattr(row, column.name) == value]


def _bucket_of(column: Column[str], value: str) -> str:
    """Name the bucket of a keyed pseudonym: its first characters are as random as the rest."""
    return f"{column.name} {value[:_PREFIX]}"
