"""Tiles that model servers were asked about, and their answers: a part of the vault.

Only what release wrote down here is believed of an answer: whose tile it is, where it lies, and
that it was asked at all. A slide's folder of images names what its tiles were cut from, so that
answers about earlier images are never laid over later ones.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    and_,
    delete,
    func,
    insert,
    select,
    update,
)

from appliance.answers import MOST_BYTES
from appliance.stores.vault_cells import ANSWER, PLACE, TERMS
from appliance.stores.vault_rows import Rows
from appliance.stores.vault_schema import answered_tiles, asked_tiles, askings

_IDS_A_QUERY: Final = 500
_VALUE_BYTES: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """A slide of which the servers of one route were asked."""

    slide_id: str
    route: str
    source: str
    """Folder in `deid/` that the tiles were cut from."""
    um_px: float
    """Spacing of the pixels of all places, from the top-left corner of the base matrix."""
    cell_px: int
    """Side of the cell that each tile speaks for."""
    side_px: int
    """Side of a tile."""
    n_tiles: int
    tiles_a_parcel: int | None = None
    """How the tiles were divided; the same again names the same parcels, whatever limits say now.
    None where the pool divides them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedTile:
    """One tile that was asked about."""

    tile_id: str
    row_px: int
    column_px: int
    turn: int
    """As `anonymizer.tiles.cut.turned` turned it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited:
    """How far the answers about one slide on one route are."""

    asking: Asking
    n_answered: int
    n_placed: int
    """How many of them were joined to the slide."""
    n_joined: int
    """How often some were."""
    first_answer_at: float | None
    """Seconds since the epoch: the oldest answer that was not joined yet."""
    shape: tuple[int, ...]
    """Of each answer; empty when there is none."""
    folder: str | None
    """Folder in `placed/` of a joining that was begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What became of answers."""

    slides: frozenset[str]
    """Slides that some of them were new for."""
    n_refused: int
    """How many of them were not believed."""


class AskedTiles(Rows):
    """Rows about asked tiles. A row that was altered or moved raises IdentityDoubt."""

    def ask(self, asking: Asking, tiles: Sequence[AskedTile], *, now: float) -> bool:
        """Write down what is asked of a slide, in one commit.

        Returns
        -------
        bool
            False, and nothing changed, when the same tiles were asked about before, or all of
            earlier ones of the same images were answered. What was asked otherwise is forgotten.
        """
        with self._engine.begin() as connection:
            known = connection.execute(select(askings).where(_is(asking))).first()
            if known is not None:
                same_images = _asking(TERMS.open(self._cipher, known)).source == asking.source
                if same_images and (known.closed or _holds(connection, asking, tiles)):
                    return False
                _forget(connection, asking)
                connection.execute(delete(askings).where(_is(asking)))
            terms = TERMS.row(
                self._cipher,
                _encoded(asdict(asking)),
                slide_id=asking.slide_id,
                route=asking.route,
            )
            counts = dict.fromkeys(("n_answered", "n_placed", "n_joined"), 0)
            begun = insert(askings).values(**terms, **counts, asked_at=now, closed=False)
            connection.execute(begun)
            if tiles:
                rows = [self._asked_row(asking, tile) for tile in tiles]
                connection.execute(insert(asked_tiles), rows)
        return True

    def asked(self, slide_id: str, route: str) -> Asking | None:
        """Give what was last asked about a slide on a route; None when nothing was."""
        place = and_(askings.c.slide_id == slide_id, askings.c.route == route)
        with self._reader.connect() as connection:
            row = connection.execute(select(askings).where(place)).first()
        return None if row is None else _asking(TERMS.open(self._cipher, row))

    def keep(
        self, route: str, answers: Mapping[str, bytes], *, shape: tuple[int, ...], now: float
    ) -> Kept:
        """Keep answers of a route in one commit; the same ones twice change nothing.

        What is said of a tile first stands. An answer is refused when this route was never asked
        about its tile or nobody waits for it any more, when it says other than before, when it is
        of another shape than the answers before it, or when so large ones can never be joined.

        Parameters
        ----------
        route
            Whose servers answered.
        answers
            By tile id.
        shape
            Of each.
        now
            Seconds since the epoch.
        """
        with self._engine.begin() as connection:
            slides = dict(_slides_of(connection, route, tuple(answers)))
            known = dict(self._known(connection, route, tuple(slides)))
            refused = len(answers) - len(slides)
            refused += sum(answers[tile_id] != answer for tile_id, answer in known.items())
            new: dict[str, list[str]] = {}
            for tile_id in sorted(slides.keys() - known.keys()):
                new.setdefault(slides[tile_id], []).append(tile_id)
            taken = [
                slide_id
                for slide_id, ids in new.items()
                if self._count(connection, slide_id, route, len(ids), shape=shape, now=now)
            ]
            for slide_id in taken:
                rows = [
                    self._answer_row(slide_id, route, one, answers[one]) for one in new[slide_id]
                ]
                connection.execute(insert(answered_tiles), rows)
            refused += sum(len(ids) for slide_id, ids in new.items() if slide_id not in taken)
        return Kept(slides=frozenset(taken), n_refused=refused)

    def with_news(self) -> tuple[Awaited, ...]:
        """Give what has answers that were not joined, or was being joined."""
        return self._awaited(askings.c.n_answered > askings.c.n_placed)

    def waiting(self, route: str) -> tuple[str, ...]:
        """Give the slides that answers of a route are waited for about."""
        wanted = and_(askings.c.route == route, askings.c.closed.is_(False))
        with self._reader.connect() as connection:
            return tuple(connection.scalars(select(askings.c.slide_id).where(wanted)))

    def n_slides_waiting(self) -> int:
        """Count slides of which some tiles were not answered yet."""
        statement = select(func.count(askings.c.slide_id.distinct()))
        with self._reader.connect() as connection:
            return int(connection.scalar(statement.where(askings.c.closed.is_(False))) or 0)

    def tiles(self, asking: Asking) -> tuple[AskedTile, ...]:
        """Tiles of a slide that a route was asked about, by tile id."""
        statement = select(asked_tiles).where(_of(asked_tiles, asking))
        with self._reader.connect() as connection:
            rows = connection.execute(statement.order_by(asked_tiles.c.tile_id)).all()
        return tuple(
            AskedTile(tile_id=row.tile_id, **json.loads(PLACE.open(self._cipher, row)))
            for row in rows
        )

    def answers(self, asking: Asking) -> dict[str, bytes]:
        """Answers that came back, by tile id."""
        statement = select(answered_tiles).where(_of(answered_tiles, asking))
        with self._reader.connect() as connection:
            rows = connection.execute(statement.order_by(answered_tiles.c.tile_id)).all()
        return {row.tile_id: ANSWER.open(self._cipher, row) for row in rows}

    # What becomes of an asking. Nothing, when the slide was asked about anew meanwhile.

    def begin_joining(self, asking: Asking, folder: str) -> None:
        """Write down under which name answers are about to be joined to their slide."""
        self._change(asking, folder=folder)

    def not_joined(self, asking: Asking) -> None:
        """Write down that a joining came to nothing, and may be begun anew."""
        self._change(asking, folder=None)

    def joined(self, asking: Asking, *, n_placed: int) -> None:
        """Write down that so many answers were joined; when all were, forget tiles and answers."""
        everything = n_placed >= asking.n_tiles
        self._change(
            asking,
            forget=everything,
            folder=None,
            n_placed=n_placed,
            n_joined=askings.c.n_joined + 1,
            first_answer_at=None,
            closed=everything,
        )

    def abandon(self, asking: Asking) -> None:
        """Wait for no more answers about a slide, and forget those that came."""
        self._change(asking, forget=True, folder=None, closed=True)

    # Shared by the above.

    def _change(self, asking: Asking, *, forget: bool = False, **values: object) -> None:
        with self._engine.begin() as connection:
            row = connection.execute(select(askings).where(_is(asking))).first()
            if row is None or _asking(TERMS.open(self._cipher, row)) != asking:
                return
            connection.execute(update(askings).where(_is(asking)).values(**values))
            if forget:
                _forget(connection, asking)

    def _awaited(self, condition: ColumnElement[bool]) -> tuple[Awaited, ...]:
        statement = select(askings).where(condition, askings.c.closed.is_(False))
        with self._reader.connect() as connection:
            rows = connection.execute(statement.order_by(askings.c.asked_at)).all()
        return tuple(
            Awaited(
                asking=_asking(TERMS.open(self._cipher, row)),
                n_answered=row.n_answered,
                n_placed=row.n_placed,
                n_joined=row.n_joined,
                first_answer_at=row.first_answer_at,
                shape=tuple(json.loads(row.shape or "[]")),
                folder=row.folder,
            )
            for row in rows
        )

    def _known(
        self, connection: Connection, route: str, tile_ids: Sequence[str]
    ) -> Iterator[tuple[str, bytes]]:
        for ids in _few(tile_ids):
            chosen = and_(answered_tiles.c.route == route, answered_tiles.c.tile_id.in_(ids))
            for row in connection.execute(select(answered_tiles).where(chosen)):
                yield (row.tile_id, ANSWER.open(self._cipher, row))

    def _count(
        self,
        connection: Connection,
        slide_id: str,
        route: str,
        n_new: int,
        *,
        shape: tuple[int, ...],
        now: float,
    ) -> bool:
        """Count new answers about a slide; False when they cannot be of those that it waits for."""
        place = and_(askings.c.slide_id == slide_id, askings.c.route == route)
        row = connection.execute(select(askings).where(place)).first()
        words = json.dumps(shape)
        if row is None or row.closed or row.shape not in {None, words}:
            return False
        if not _can_be_joined(_asking(TERMS.open(self._cipher, row)), shape):
            return False
        connection.execute(
            update(askings)
            .where(place)
            .values(
                n_answered=row.n_answered + n_new,
                first_answer_at=now if row.first_answer_at is None else row.first_answer_at,
                shape=words,
            )
        )
        return True

    def _asked_row(self, asking: Asking, tile: AskedTile) -> dict[str, object]:
        place = {"row_px": tile.row_px, "column_px": tile.column_px, "turn": tile.turn}
        return PLACE.row(
            self._cipher,
            _encoded(place),
            route=asking.route,
            tile_id=tile.tile_id,
            slide_id=asking.slide_id,
        )

    def _answer_row(
        self, slide_id: str, route: str, tile_id: str, answer: bytes
    ) -> dict[str, object]:
        return ANSWER.row(self._cipher, answer, route=route, tile_id=tile_id, slide_id=slide_id)


def _is(asking: Asking) -> ColumnElement[bool]:
    return _of(askings, asking)


def _of(table: Table, asking: Asking) -> ColumnElement[bool]:
    return and_(table.c.slide_id == asking.slide_id, table.c.route == asking.route)


def _holds(connection: Connection, asking: Asking, tiles: Sequence[AskedTile]) -> bool:
    """Whether exactly these tiles of a slide were asked about."""
    ids = connection.scalars(select(asked_tiles.c.tile_id).where(_of(asked_tiles, asking)))
    return set(ids) == {tile.tile_id for tile in tiles}


def _forget(connection: Connection, asking: Asking) -> None:
    for table in (asked_tiles, answered_tiles):
        connection.execute(delete(table).where(_of(table, asking)))


def _slides_of(
    connection: Connection, route: str, tile_ids: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Give the slide of each tile that a route was asked about."""
    columns = (asked_tiles.c.tile_id, asked_tiles.c.slide_id)
    for ids in _few(tile_ids):
        chosen = and_(asked_tiles.c.route == route, asked_tiles.c.tile_id.in_(ids))
        for row in connection.execute(select(*columns).where(chosen)):
            yield (row.tile_id, row.slide_id)


def _can_be_joined(asking: Asking, shape: tuple[int, ...]) -> bool:
    """Whether answers of a shape are no finer than their tiles, and all of them can be kept."""
    finest = max(shape[:-1], default=0)
    size_bytes = asking.n_tiles * math.prod(shape) * _VALUE_BYTES
    return finest <= asking.side_px and size_bytes <= MOST_BYTES


def _few(tile_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Give ids in parts that fit into one statement."""
    for first in range(0, len(tile_ids), _IDS_A_QUERY):
        yield tile_ids[first : first + _IDS_A_QUERY]


def _asking(content: bytes) -> Asking:
    return Asking(**json.loads(content))


def _encoded(values: Mapping[str, object]) -> bytes:
    return json.dumps(values, sort_keys=True, separators=(",", ":")).encode()
