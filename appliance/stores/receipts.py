"""Receipts: which objects came, from whom, with which content, and to which slide they belong.

Only the node's receiver and assembler open this store. A C-STORE is answered with success after
the commit of its receipt, never before.
"""

import secrets
import time
from base64 import b32encode
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import Connection, Engine, and_, func, insert, or_, select, update

from appliance.stores.database import READ_ONLY
from appliance.stores.receipt_writer import ReceiptWriter
from appliance.stores.receipts_schema import instances, slides
from appliance.stores.received import Receipt, StoredInstance, StoredSlide, stored_instance

__all__ = ["Receipt", "Receipts", "StoredInstance", "StoredSlide"]

_SLIDE_ID_BYTES = 16

Clock = Callable[[], float]


class Receipts:
    """The store of receipts.

    Parameters
    ----------
    engine
        From `appliance.stores.database.open_engine(url, store="receipts")`.
    clock
        Seconds since the epoch.
    """

    def __init__(self, engine: Engine, clock: Clock = time.time) -> None:
        self._engine = engine
        self._reading = engine.execution_options(**{READ_ONLY: True})
        self._clock = clock
        self._writer = ReceiptWriter(engine, clock)

    # The receiver.

    def add(self, receipt: Receipt) -> bool:
        """Commit a receipt; False when the same content was receipted under this UID before.

        Raises
        ------
        TransientError
            The store cannot take it now; nothing was committed.
        """
        return self._writer.add({name: getattr(receipt, name) for name in Receipt.__slots__})

    def known(self, sop_instance_uid: str, sha256: str) -> bool:
        """Whether this very content was receipted under this UID, and not purged since."""
        statement = select(instances.c.number).where(
            instances.c.sop_instance_uid == sop_instance_uid,
            instances.c.sha256 == sha256,
            instances.c.purged_at.is_(None),
        )
        with self._reading.connect() as connection:
            return connection.scalar(statement) is not None

    def restore(self, receipt: Receipt, put: Callable[[], object]) -> None:
        """Take content back that was receipted before and came again.

        It may have been purged: `put` gives it its name again while nobody else can purge.
        """
        same = and_(
            instances.c.sop_instance_uid == receipt.sop_instance_uid,
            instances.c.sha256 == receipt.sha256,
        )
        with self._engine.begin() as connection:
            put()
            connection.execute(update(instances).where(same).values(purged_at=None))

    def hashes(self) -> frozenset[str]:
        """Content hashes of all that we hold; any other file of the spool may be swept."""
        statement = select(instances.c.sha256).where(instances.c.purged_at.is_(None))
        with self._reading.connect() as connection:
            return frozenset(connection.scalars(statement))

    # The assembler.

    def open_studies(self) -> tuple[str, ...]:
        """Studies with objects that no revision of a slide holds yet."""
        statement = (
            select(instances.c.study_instance_uid)
            .where(instances.c.revision.is_(None), instances.c.dismissed.is_(False))
            .distinct()
        )
        with self._reading.connect() as connection:
            return tuple(sorted(connection.scalars(statement)))

    def of_study(self, study_instance_uid: str) -> tuple[StoredInstance, ...]:
        """Every object of a study, in the order in which they came."""
        return self._instances(instances.c.study_instance_uid == study_instance_uid)

    def of_slide(self, slide_id: str) -> tuple[StoredInstance, ...]:
        """Every object of a slide, in the order in which they came."""
        return self._instances(instances.c.slide_id == slide_id)

    def slide(self, slide_id: str) -> StoredSlide | None:
        """Give a slide; None when the node knows none of this id."""
        with self._reading.connect() as connection:
            statement = select(slides).where(slides.c.slide_id == slide_id)
            row = connection.execute(statement).mappings().first()
        return None if row is None else StoredSlide(**dict(row))

    def slides_of_container(self, container_identifier: str) -> tuple[str, ...]:
        """Give the slides that name this container, the newest first, whoever issued the name."""
        statement = (
            select(slides.c.slide_id)
            .where(slides.c.container_identifier == container_identifier)
            .order_by(slides.c.created_at.desc(), slides.c.slide_id)
        )
        with self._reading.connect() as connection:
            return tuple(connection.scalars(statement))

    def add_slide(
        self,
        numbers: Iterable[int],
        *,
        scanner: str,
        study_instance_uid: str,
        container_identifier: str | None,
        container_issuer: str | None,
    ) -> StoredSlide:
        """Make a slide with a random id, linked to an earlier scan of the same container."""
        slide_id = b32encode(secrets.token_bytes(_SLIDE_ID_BYTES)).decode().rstrip("=").lower()
        slide = StoredSlide(
            slide_id=slide_id,
            scanner=scanner,
            container_identifier=container_identifier,
            container_issuer=container_issuer,
            study_instance_uid=study_instance_uid,
            created_at=self._clock(),
            sealed_revision=0,
            open_revision=1,
            forced=False,
            supersedes=self._earlier_scan(
                study_instance_uid, container_identifier, container_issuer
            ),
        )
        with self._engine.begin() as connection:
            values = {name: getattr(slide, name) for name in StoredSlide.__slots__}
            connection.execute(insert(slides).values(**values))
            self._assign(connection, numbers, slide_id)
        return slide

    def assign(self, numbers: Iterable[int], slide_id: str) -> None:
        """Add objects to a slide."""
        with self._engine.begin() as connection:
            self._assign(connection, numbers, slide_id)

    def begin_revision(self, slide_id: str, revision: int) -> None:
        """Record the revision that late objects belong to."""
        with self._engine.begin() as connection:
            connection.execute(
                update(slides)
                .where(slides.c.slide_id == slide_id, slides.c.open_revision < revision)
                .values(open_revision=revision, forced=False)
            )

    def seal(self, slide_id: str, revision: int) -> tuple[StoredInstance, ...]:
        """Fix which objects a revision holds, and give them.

        Called again for the same revision it gives the same objects: what came in between is late.
        """
        mine = and_(
            instances.c.slide_id == slide_id,
            or_(instances.c.revision.is_(None), instances.c.revision <= revision),
        )
        with self._engine.begin() as connection:
            slide = slides.c.slide_id == slide_id
            row = connection.execute(
                select(slides.c.sealed_revision, slides.c.open_revision).where(slide)
            ).first()
            if row is not None and row.sealed_revision < revision:
                connection.execute(
                    update(instances)
                    .where(instances.c.slide_id == slide_id, instances.c.revision.is_(None))
                    .values(revision=revision)
                )
                connection.execute(
                    update(slides)
                    .where(slide)
                    .values(
                        sealed_revision=revision,
                        open_revision=max(row.open_revision, revision),
                    )
                )
        return tuple(one for one in self._instances(mine) if one.revision is not None)

    def conflicts(self, slide_id: str) -> int:
        """Count the SOP Instance UIDs of a slide under which different objects came."""
        other = instances.alias("other")
        statement = (
            select(func.count(func.distinct(instances.c.sop_instance_uid)))
            .select_from(
                instances.join(
                    other,
                    and_(
                        other.c.sop_instance_uid == instances.c.sop_instance_uid,
                        other.c.number != instances.c.number,
                        other.c.dismissed.is_(False),
                    ),
                )
            )
            .where(instances.c.slide_id == slide_id, instances.c.dismissed.is_(False))
        )
        with self._reading.connect() as connection:
            return int(connection.scalar(statement) or 0)

    # Operators.

    def force(self, slide_id: str) -> None:
        """Declare a slide complete as it is."""
        with self._engine.begin() as connection:
            connection.execute(
                update(slides).where(slides.c.slide_id == slide_id).values(forced=True)
            )

    def keep(self, slide_id: str, *, newest: bool) -> int:
        """Settle every conflict of a slide: keep the newest or the first object under a UID.

        Returns the number of objects that were dismissed; their files stay.
        """
        best = func.max if newest else func.min
        kept = (
            select(best(instances.c.number))
            .where(instances.c.slide_id == slide_id)
            .group_by(instances.c.sop_instance_uid)
        )
        with self._engine.begin() as connection:
            result = connection.execute(
                update(instances)
                .where(instances.c.slide_id == slide_id, instances.c.number.not_in(kept))
                .values(dismissed=True)
                .returning(instances.c.number)
            )
            return len(result.all())

    # Shared by the above.

    def _earlier_scan(self, study: str, container: str | None, issuer: str | None) -> str | None:
        """Newest slide of the same container: in its study, or anywhere if an issuer vouches."""
        if container is None:
            return None
        same_issuer = slides.c.container_issuer == issuer
        if issuer is None:
            same_issuer = and_(
                slides.c.container_issuer.is_(None), slides.c.study_instance_uid == study
            )
        statement = (
            select(slides.c.slide_id)
            .where(slides.c.container_identifier == container, same_issuer)
            .order_by(slides.c.created_at.desc(), slides.c.slide_id)
            .limit(1)
        )
        with self._reading.connect() as connection:
            return connection.scalar(statement)

    def _assign(self, connection: Connection, numbers: Iterable[int], slide_id: str) -> None:
        connection.execute(
            update(instances)
            .where(instances.c.number.in_(list(numbers)), instances.c.revision.is_(None))
            .values(slide_id=slide_id)
        )

    def _instances(self, condition: Any) -> tuple[StoredInstance, ...]:
        statement = select(instances).where(condition).order_by(instances.c.number)
        with self._reading.connect() as connection:
            return tuple(map(stored_instance, connection.execute(statement).mappings()))
