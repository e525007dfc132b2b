"""Claims of slides: leases, and commits that count only while they live."""

import secrets
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, case, insert, or_, select, update

from appliance.errors import ApplianceError, IncompleteSlide, LeaseLost, RepeatedFailure
from appliance.line import ZONES, Claim, Outcome, Stage, State
from appliance.stores.journal_rows import SlideRows, siding_folder
from appliance.stores.journal_schema import products, slides
from appliance.stores.parcels import error_values

MAX_ATTEMPTS = 3
"""Claims without an orderly end after which a slide is set aside; one innocent kill is forgiven."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A folder that a stage published, and when the journal named it."""

    folder: str
    committed_at: float


class Claims(SlideRows):
    """Slides that are worked."""

    def claim(self, stage: Stage) -> Claim | None:
        """Claim the slide that waited longest at a stage; None when there is none.

        The attempt is counted here, so that a slide that kills its worker is set aside in the end.
        """
        while True:
            claim = self._claim_once(stage)
            if claim is None or claim.attempts <= MAX_ATTEMPTS:
                return claim
            self.set_aside(
                claim,
                RepeatedFailure(
                    f"The {stage} stage stopped {MAX_ATTEMPTS} times while it worked on this slide."
                ),
            )

    def _claim_once(self, stage: Stage) -> Claim | None:
        now = self._clock()
        token = secrets.token_hex(8)
        due = or_(slides.c.next_try_at.is_(None), slides.c.next_try_at <= now)
        candidate = (
            select(slides.c.slide_id)
            .where(
                slides.c.stage == stage,
                or_(
                    and_(slides.c.state == State.WAITING, due),
                    and_(slides.c.state == State.RUNNING, slides.c.lease_until <= now),
                ),
            )
            .order_by(slides.c.created_at)
            .limit(1)
            .with_for_update(skip_locked=True)
            .scalar_subquery()
        )
        statement = (
            update(slides)
            .where(slides.c.slide_id == candidate)
            .values(
                state=State.RUNNING,
                attempts=slides.c.attempts + 1,
                lease_token=token,
                lease_until=now + self.lease_s,
                next_try_at=None,
                progress=0.0,
                words="",
                error=None,
                error_code=None,
                next_step=None,
                claimed_at=now,
                updated_at=now,
            )
            .returning(slides.c.slide_id, slides.c.revision, slides.c.attempts)
        )
        with self._reader.connect() as connection:  # an idle worker never takes the write lock
            if connection.execute(select(candidate)).scalar() is None:
                return None
        with self._engine.begin() as connection:
            row = connection.execute(statement).first()
        if row is None:
            return None
        return Claim(
            slide_id=row.slide_id,
            revision=row.revision,
            stage=stage,
            token=token,
            attempts=row.attempts,
        )

    def renew(self, claim: Claim) -> None:
        """Hold a claim for longer; raises LeaseLost when it is no longer ours."""
        if not self._set(self._live(claim), lease_until=self._clock() + self.lease_s):
            raise _lost(claim)

    def progress(self, claim: Claim, fraction: float, words: str) -> None:
        """Show how far a claim is; says nothing when the lease is lost (the commit will)."""
        self._set(self._live(claim), progress=fraction, words=words)

    def advance(self, claim: Claim, outcome: Outcome) -> None:
        """Name the published folder and move the slide on, in one commit under the live lease.

        Raises
        ------
        LeaseLost
            Another worker has the slide, or an operator held it; nothing was changed.
        """
        now = self._clock()
        following = claim.stage.following
        values: dict[str, Any] = {
            "stage": following,
            "state": State.WAITING,
            "attempts": 0,
            "retries": 0,
            "progress": 0.0,
            "words": "",
            "lease_token": None,
            "lease_until": None,
            "claimed_at": None,
        }
        if outcome.verdict is not None:
            # What a person noted about the verdict before is no word on another one.
            same = slides.c.verdict == outcome.verdict
            values |= {"verdict": outcome.verdict, "reason": outcome.reason, "verdict_at": now}
            values["mark"] = case((same, slides.c.mark), else_=None)
        with self._engine.begin() as connection:
            if not self._update(connection, self._live(claim), **values):
                raise _lost(claim)
            if claim.stage in ZONES:
                connection.execute(
                    insert(products).values(
                        slide_id=claim.slide_id,
                        revision=claim.revision,
                        stage=claim.stage,
                        folder=claim.folder,
                        committed_at=now,
                    )
                )
            for parcel in outcome.parcels:
                self.parcels.add(connection, parcel)
            if claim.stage is Stage.RELEASE:
                self.parcels.withdraw(connection, claim.slide_id)
            text = outcome.note or f"The {claim.stage} stage is done."
            self._note(connection, claim.stage, claim.slide_id, "stage-done", text)
            self.parcels.finish_slide(connection, claim.slide_id)

    def put_back(self, claim: Claim, error: ApplianceError, *, after_s: float) -> None:
        """Put a slide back to be tried again after a while; the attempt is not held against it."""
        now = self._clock()
        with self._engine.begin() as connection:
            kept = self._update(
                connection,
                self._live(claim),
                state=State.WAITING,
                attempts=0,
                retries=slides.c.retries + 1,
                next_try_at=now + after_s,
                lease_token=None,
                words="",
                **error_values(error),
            )
            if kept:
                self._note(connection, claim.stage, claim.slide_id, "put-back", str(error))

    def set_aside(self, claim: Claim, error: ApplianceError) -> None:
        """Set a slide aside with a reason; a person decides what happens to it."""
        with self._engine.begin() as connection:
            kept = self._update(
                connection,
                self._live(claim),
                state=State.ASIDE,
                lease_token=None,
                words="",
                **error_values(error),
            )
            if kept:
                self._note(connection, claim.stage, claim.slide_id, "set-aside", str(error))

    def retries(self, claim: Claim) -> int:
        """How often a slide was put back at this stage."""
        with self._reader.connect() as connection:
            found = connection.scalar(
                select(slides.c.retries).where(slides.c.slide_id == claim.slide_id)
            )
        return int(found or 0)

    def product(self, claim: Claim, stage: Stage) -> Product:
        """Find what an earlier stage published for the revision that a claim works on."""
        with self._reader.connect() as connection:
            row = connection.execute(
                select(products.c.folder, products.c.committed_at).where(
                    products.c.slide_id == claim.slide_id,
                    products.c.revision == claim.revision,
                    products.c.stage == stage,
                )
            ).first()
        if row is None:
            raise IncompleteSlide(f"The result of the {stage} stage is missing.")
        return Product(folder=row.folder, committed_at=row.committed_at)

    def placed(self, claim: Claim) -> str | None:
        """Folder in `placed/` that a claimed revision came back with; None when it did not."""
        with self._reader.connect() as connection:
            return connection.scalar(siding_folder(claim.slide_id, claim.revision))

    def live_tokens(self) -> frozenset[str]:
        """Give the tokens of the leases that have not run out: their folders must not be swept."""
        return self.board.live_tokens(self._clock())

    def _live(self, claim: Claim) -> Any:
        return and_(
            slides.c.slide_id == claim.slide_id,
            slides.c.revision == claim.revision,
            slides.c.state == State.RUNNING,
            slides.c.lease_token == claim.token,
            slides.c.lease_until > self._clock(),
        )


def _lost(claim: Claim) -> LeaseLost:
    return LeaseLost(f"Another worker took the slide over during the {claim.stage} stage.")
