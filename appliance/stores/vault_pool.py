"""The vault's pool: tiles that wait for company, and the batches they leave in."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update

from appliance.errors import IdentityDoubt
from appliance.stores.vault_cells import BATCH, TILE
from appliance.stores.vault_rows import Rows
from appliance.stores.vault_schema import batches, pooled


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledTile:
    """A tile that waits in the pool of a route."""

    tile_id: str
    patient: str
    """Keyed pseudonym of the patient, for the cap and the count of patients."""
    slide_id: str
    """The scan it was cut from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Tiles that leave together."""

    parcel_id: str
    route: str
    policy_digest: str
    """Of the policy under which it was made; only under this one may it leave."""
    made_at: float
    """Seconds since the epoch; kept, so that a retry signs the same manifest."""


class Pool(Rows):
    """Waiting tiles and batches."""

    def waiting_tiles(self, terms: str) -> tuple[PooledTile, ...]:
        """Tiles that are in no batch yet and were cut under some terms, by tile id.

        Terms, slide and patient are believed here and checked when a batch is made: each tile is
        sealed for them. The route's name is not asked for: it may be another one now.
        """
        statement = (
            select(pooled.c.tile_id, pooled.c.patient, pooled.c.slide_id)
            .where(pooled.c.terms == terms, pooled.c.parcel_id.is_(None))
            .order_by(pooled.c.tile_id)
        )
        with self._reader.connect() as connection:
            rows = connection.execute(statement).all()
        return tuple(_tile(row) for row in rows)

    def slides_of(self, parcel_id: str) -> frozenset[str]:
        """Tell which slides the tiles of a batch were cut from."""
        statement = select(pooled.c.slide_id).where(pooled.c.parcel_id == parcel_id)
        with self._reader.connect() as connection:
            return frozenset(connection.scalars(statement))

    def n_stranded(self, route: str, terms: Collection[str]) -> int:
        """Count waiting tiles of a route that were cut under other terms, and so never leave."""
        statement = (
            select(func.count())
            .select_from(pooled)
            .where(
                pooled.c.route == route, pooled.c.terms.not_in(terms), pooled.c.parcel_id.is_(None)
            )
        )
        with self._reader.connect() as connection:
            return int(connection.scalar(statement) or 0)

    def make_batch(self, batch: Batch, tiles: Sequence[PooledTile], *, terms: str) -> bool:
        """Put waiting tiles into a new batch; False, and nothing changed, when one was taken.

        Raises
        ------
        IdentityDoubt
            A tile is not of the patient, the slide or the terms that it was chosen for.
        """
        ids = [tile.tile_id for tile in tiles]
        chosen = (pooled.c.tile_id.in_(ids)) & (pooled.c.parcel_id.is_(None))
        with self._engine.begin() as connection:
            rows = connection.execute(select(pooled).where(chosen)).all()
            if len(rows) != len(tiles):
                return False
            for row in rows:
                TILE.open(self._cipher, row)
            if {(_tile(row), row.terms) for row in rows} != {(tile, terms) for tile in tiles}:
                raise IdentityDoubt("A tile in the vault's pool is not what it was chosen for.")
            values = BATCH.row(
                self._cipher,
                json.dumps(sorted(ids)).encode(),
                parcel_id=batch.parcel_id,
                route=batch.route,
                policy_digest=batch.policy_digest,
                made_at=batch.made_at,
            )
            connection.execute(insert(batches).values(closed=False, **values))
            connection.execute(update(pooled).where(chosen).values(parcel_id=batch.parcel_id))
        return True

    def open_batches(self, route: str) -> tuple[Batch, ...]:
        """Batches of a route that the journal has not been seen to name yet, oldest first."""
        statement = (
            select(batches)
            .where(batches.c.route == route, batches.c.closed.is_(False))
            .order_by(batches.c.made_at, batches.c.parcel_id)
        )
        with self._reader.connect() as connection:
            rows = connection.execute(statement).all()
        return tuple(map(_batch, rows))

    def batch_tiles(self, batch: Batch) -> dict[str, bytes]:
        """Content of the tiles of a batch, by tile id; empty when another release closed it.

        Raises
        ------
        IdentityDoubt
            The batch or a tile was altered, or they are not the tiles that it was made of.
        """
        place = batches.c.parcel_id == batch.parcel_id
        chosen = select(pooled).where(pooled.c.parcel_id == batch.parcel_id)
        with self._snapshot() as connection:
            made = connection.execute(select(batches).where(place)).first()
            rows = connection.execute(chosen.order_by(pooled.c.tile_id)).all()
        if not rows and (made is None or made.closed):
            return {}
        contents = {row.tile_id: TILE.open(self._cipher, row) for row in rows}
        whole = made is not None and (
            _batch(made) == batch and list(contents) == json.loads(BATCH.open(self._cipher, made))
        )
        if not whole:
            raise IdentityDoubt("A batch of tiles in the vault is not the one that was made.")
        return contents

    def dissolve_batch(self, parcel_id: str) -> None:
        """Put the tiles of a batch that never left back into the pool."""
        with self._engine.begin() as connection:
            connection.execute(
                update(pooled).where(pooled.c.parcel_id == parcel_id).values(parcel_id=None)
            )
            connection.execute(delete(batches).where(batches.c.parcel_id == parcel_id))

    def close_batch(self, parcel_id: str) -> None:
        """Forget the pixels of a batch that is on its way; the ledger keeps what it held."""
        with self._engine.begin() as connection:
            connection.execute(
                update(batches).where(batches.c.parcel_id == parcel_id).values(closed=True)
            )
            connection.execute(delete(pooled).where(pooled.c.parcel_id == parcel_id))


def _tile(row: Any) -> PooledTile:
    return PooledTile(tile_id=row.tile_id, patient=row.patient, slide_id=row.slide_id)


def _batch(row: Row[Any]) -> Batch:
    return Batch(
        parcel_id=row.parcel_id,
        route=row.route,
        policy_digest=row.policy_digest,
        made_at=row.made_at,
    )
