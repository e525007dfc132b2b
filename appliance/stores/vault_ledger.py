"""The vault's ledger: what every recipient ever got of every physical container.

Its rows are written once, sealed as a whole, and counted: one that is changed by hand does not
open, and one that is taken away is missed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Column, Connection, Row, insert, select

from appliance.errors import TransientError
from appliance.stores.vault_cells import GRANT, PLACEMENTS, TILE, Cells
from appliance.stores.vault_rows import Rows, missing, tallied
from appliance.stores.vault_schema import grants, pooled, samplings

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
    place: str
    """Where the recipient was then: "site" or "outside"."""
    plan_digest: str
    """Digest of the plan's terms; another plan may not be laid over this one."""
    colludes_with: str
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


_PREFIX: Final = 2
"""Characters that a bucket is named by: a thousand buckets, of 32 possible ones each."""
_LAST: Final = "\U0010ffff"


class Ledger(Rows):
    """Grants and samples; a row that was altered or is missing raises IdentityDoubt."""

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
        with self._snapshot() as connection:
            return self._samplings(connection, container)

    def samplings_of(self, recipient: str) -> tuple[Sampling, ...]:
        """Every sample that a recipient was ever given, by container."""
        chosen = samplings.c.recipient == recipient
        statement = select(samplings).where(chosen).order_by(samplings.c.container)
        with self._snapshot() as connection:
            tallied(connection, samplings, self._cipher)
            rows = connection.execute(statement).all()
        return tuple(map(self._sampling, rows))

    def given(self, patient: str, recipient: str) -> int:
        """How many tiles of a patient a recipient was ever given, over all containers."""
        with self._snapshot() as connection:
            return self._given(connection, patient, recipient)

    def basis(self, container: str, *, patient: str, recipient: str) -> Basis:
        """Give what a decision about a sample of a container rests on."""
        with self._snapshot() as connection:
            return self._basis(connection, container, patient, recipient)

    def sample(
        self,
        sampling: Sampling,
        *,
        route: str,
        tiles: Mapping[str, bytes],
        terms: str,
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
            beside = {
                "route": route,
                "terms": terms,
                "slide_id": sampling.slide_id,
                "patient": sampling.patient,
            }
            rows = [
                TILE.row(self._cipher, content, tile_id=tile_id, **beside)
                for tile_id, content in tiles.items()
            ]
            if rows:
                connection.execute(insert(pooled), rows)
        return True

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
