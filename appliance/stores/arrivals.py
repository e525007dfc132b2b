"""How slides come onto the line: from a scanner, again with a late object, or from the siding."""

from collections.abc import Collection

from sqlalchemy import and_, case, insert, select

from appliance.line import SIDING, Stage, State
from appliance.stores.journal_rows import AGAIN, CLEAR, SlideRows, siding_folder
from appliance.stores.journal_schema import products, slides


class Arrivals(SlideRows):
    """Slides that come."""

    def add_slide(
        self, slide_id: str, *, scanner: str, last_byte_at: float, supersedes: str | None = None
    ) -> None:
        """Put a slide on the line, still receiving; one that is there already stays as it is."""
        now = self._clock()
        with self._engine.begin() as connection:
            if connection.scalar(select(slides.c.slide_id).where(slides.c.slide_id == slide_id)):
                return
            connection.execute(
                insert(slides).values(
                    slide_id=slide_id,
                    revision=1,
                    scanner=scanner,
                    stage=Stage.ASSEMBLE,
                    state=State.RECEIVING,
                    attempts=0,
                    retries=0,
                    progress=0.0,
                    words="receiving",
                    created_at=now,
                    last_byte_at=last_byte_at,
                    updated_at=now,
                    supersedes=supersedes,
                )
            )
            self._note(connection, scanner, slide_id, "received", "The first object arrived.")

    def received(self, slide_id: str, *, last_byte_at: float, words: str) -> None:
        """Record that more of a slide arrived, with words such as "3 objects, 120 MB"."""
        self._set(
            and_(slides.c.slide_id == slide_id, slides.c.state == State.RECEIVING),
            last_byte_at=last_byte_at,
            words=words,
        )

    def complete(self, slide_id: str, *, actor: str, reason: str) -> bool:
        """Let assemble claim a slide that was receiving; False when it was not receiving."""
        condition = and_(slides.c.slide_id == slide_id, slides.c.state == State.RECEIVING)
        with self._engine.begin() as connection:
            if not self._update(connection, condition, state=State.WAITING, words=reason):
                return False
            self._note(connection, actor, slide_id, "complete", reason)
        return True

    def new_revision(self, slide_id: str, *, actor: str, last_byte_at: float) -> int:
        """Take a slide back to assemble because an object arrived late.

        A slide that was not released yet is worked again by itself; one that was is held until an
        operator resumes it, since its products may already be in the PACS.
        """
        with self._engine.begin() as connection:
            row = connection.execute(
                select(slides.c.revision, slides.c.stage).where(slides.c.slide_id == slide_id)
            ).one()
            came_back = connection.scalar(siding_folder(slide_id, row.revision)) is not None
            released = came_back or Stage(row.stage) in (Stage.RELEASE, Stage.DELIVER)
            self._update(
                connection,
                slides.c.slide_id == slide_id,
                revision=row.revision + 1,
                stage=Stage.ASSEMBLE,
                state=State.HELD if released else State.RECEIVING,
                lease_token=None,
                attempts=0,
                retries=0,
                progress=0.0,
                words="held: an object arrived after the report" if released else "receiving",
                last_byte_at=last_byte_at,
                mark=None,
                marked_at=None,
                **CLEAR,
            )
            text = f"A late object arrived: revision {row.revision + 1} begins."
            self._note(connection, actor, slide_id, "late-object", text)
        return int(row.revision) + 1

    def rejoin(self, slide_id: str, *, revision: int, folder: str, note: str) -> bool:
        """Take a slide that is done back to infer, because answers of model servers came back.

        The images stay those of the revision before; the answers are named beside them.

        Parameters
        ----------
        slide_id, revision
            The slide, as it was when its answers were placed.
        folder
            Published folder in `placed/`.
        note
            One sentence for the slide's events.

        Returns
        -------
        bool
            False, and nothing changed, when the slide is not done, or has another revision by now.
        """
        condition = and_(
            slides.c.slide_id == slide_id,
            slides.c.revision == revision,
            slides.c.stage == Stage.DELIVER,
            slides.c.state == State.DONE,
        )
        values = AGAIN | CLEAR | {"stage": Stage.INFER, "progress": 0.0, "lease_until": None}
        with self._engine.begin() as connection:
            if not self._update(connection, condition, revision=revision + 1, **values):
                return False
            kept = select(products).where(
                products.c.slide_id == slide_id,
                products.c.revision == revision,
                products.c.stage.in_((Stage.ASSEMBLE, Stage.DEIDENTIFY)),
            )
            again = [
                {**row, "revision": revision + 1} for row in connection.execute(kept).mappings()
            ]
            placed = {
                "slide_id": slide_id,
                "revision": revision + 1,
                "stage": SIDING,
                "folder": folder,
                "committed_at": self._clock(),
            }
            connection.execute(insert(products), [*again, placed])
            self._note(connection, SIDING, slide_id, "rejoined", note)
        return True

    def ask_anew(self, route: str, slide_ids: Collection[str]) -> None:
        """Take slides back to release, since tiles of a route on their way may not leave any more.

        Those parcels are forgotten in the same commit. A slide that a person has stopped stays
        stopped; one at an earlier stage comes to release anyhow.

        Parameters
        ----------
        route
            A route to servers of the site.
        slide_ids
            Slides whose answers are waited for.
        """
        with self._engine.begin() as connection:
            self.parcels.withdraw_tiles(connection, route)
            for slide_id in slide_ids:
                here = and_(slides.c.slide_id == slide_id, slides.c.stage == Stage.DELIVER)
                done = slides.c.state == State.DONE
                values = {"stage": Stage.RELEASE, "attempts": 0, "retries": 0, "progress": 0.0}
                values["state"] = case((done, State.WAITING), else_=slides.c.state)
                if self._update(connection, here, **values):
                    words = (
                        f"Its tiles on route {route} may not leave any more; they are asked anew."
                    )
                    self._note(connection, SIDING, slide_id, "asked-anew", words)
