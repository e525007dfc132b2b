"""The journal: which slide is where, who holds it, and what its stages published.

Claims are leases: a claim names its holder by a token, and every later word of that holder
counts only while the token is still the slide's and the lease has not run out. So a holder that
was paused past its lease can do no harm, and a slide whose holder died is claimed again.

The journal is untrusted: every daemon can write it, so nothing in it may widen what leaves.
"""

import secrets
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Connection,
    CursorResult,
    Engine,
    Select,
    and_,
    case,
    insert,
    or_,
    select,
    update,
)

from appliance.errors import (
    ApplianceError,
    ForbiddenAction,
    IncompleteSlide,
    LeaseLost,
    RepeatedFailure,
)
from appliance.line import SIDING, ZONES, Claim, Outcome, Stage, State
from appliance.stores.board import Board
from appliance.stores.database import READ_ONLY
from appliance.stores.journal_schema import events, heartbeats, products, slides
from appliance.stores.parcels import Parcels, error_values

LEASE_S = 30.0
MAX_ATTEMPTS = 3
"""Claims without an orderly end after which a slide is set aside; one innocent kill is forgiven."""

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A folder that a stage published, and when the journal named it."""

    folder: str
    committed_at: float


class Journal:
    """Slides on the line.

    Parameters
    ----------
    engine
        From `appliance.stores.database.open_engine(url, store="journal")`.
    clock
        Seconds since the epoch.
    lease_s
        How long a claim lives without being renewed.
    """

    def __init__(
        self, engine: Engine, clock: Clock = time.time, *, lease_s: float = LEASE_S
    ) -> None:
        self._engine = engine
        self._reader = engine.execution_options(**{READ_ONLY: True})
        self._clock = clock
        self.lease_s = lease_s
        self.board = Board(engine)
        self.parcels = Parcels(engine, clock, lease_s=lease_s)

    # Slides come onto the line.

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
            came_back = connection.scalar(_siding(slide_id, row.revision)) is not None
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
                **_CLEAR,
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
        values = _AGAIN | _CLEAR | {"stage": Stage.INFER, "progress": 0.0, "lease_until": None}
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

    # Workers claim, and commit while their lease lives.

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
        }
        if outcome.verdict is not None:
            values |= {"verdict": outcome.verdict, "reason": outcome.reason, "verdict_at": now}
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

    def reject(self, slide_id: str, *, actor: str, error: ApplianceError) -> None:
        """Set a slide aside whatever it is doing, because what was received is in doubt."""
        with self._engine.begin() as connection:
            self._update(
                connection,
                slides.c.slide_id == slide_id,
                state=State.ASIDE,
                lease_token=None,
                words="",
                **error_values(error),
            )
            self._note(connection, actor, slide_id, "set-aside", str(error))

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
            return connection.scalar(_siding(claim.slide_id, claim.revision))

    def live_tokens(self) -> frozenset[str]:
        """Give the tokens of the leases that have not run out: their folders must not be swept."""
        return self.board.live_tokens(self._clock())

    # Operators.

    def operate(self, action: str, slide_id: str, *, operator: str, reason: str = "") -> None:
        """Retry, hold, resume or set aside a slide for an operator.

        Raises
        ------
        ForbiddenAction
            The action makes no sense in the slide's present state, or the slide is unknown.
        """
        from_states, values, text = _ACTIONS[action]
        condition = and_(slides.c.slide_id == slide_id, slides.c.state.in_(from_states))
        with self._engine.begin() as connection:
            changes = dict(values) | ({"error": reason} if action == "set_aside" else {})
            if not self._update(connection, condition, **changes):
                raise ForbiddenAction(f"This slide cannot be {text} in its present state.")
            if action == "retry" and self.parcels.lost_permission(connection, slide_id):
                at_deliver = and_(slides.c.slide_id == slide_id, slides.c.stage == Stage.DELIVER)
                self._update(connection, at_deliver, stage=Stage.RELEASE)
            elif action == "retry":
                self.parcels.retry_slide(connection, slide_id)
            if changes["state"] == State.WAITING:  # its last parcel may have arrived meanwhile
                self.parcels.finish_slide(connection, slide_id)
            words = f"The slide was {text}." + (f" Reason: {reason}" if reason else "")
            self._note(connection, operator, slide_id, action, words)

    def note(self, actor: str, kind: str, text: str, *, slide_id: str | None = None) -> None:
        """Append a fact to the event list."""
        with self._engine.begin() as connection:
            self._note(connection, actor, slide_id, kind, text)

    def heartbeat(self, daemon: str, *, pid: int, words: str) -> None:
        """Say that a daemon is alive."""
        values = {"at": self._clock(), "pid": pid, "words": words}
        with self._engine.begin() as connection:
            found = connection.execute(
                update(heartbeats).where(heartbeats.c.daemon == daemon).values(**values)
            )
            if not found.rowcount:
                connection.execute(insert(heartbeats).values(daemon=daemon, **values))

    # Shared by the above.

    def _live(self, claim: Claim) -> Any:
        return and_(
            slides.c.slide_id == claim.slide_id,
            slides.c.revision == claim.revision,
            slides.c.state == State.RUNNING,
            slides.c.lease_token == claim.token,
            slides.c.lease_until > self._clock(),
        )

    def _set(self, condition: Any, **values: Any) -> bool:
        with self._engine.begin() as connection:
            return self._update(connection, condition, **values)

    def _update(self, connection: Connection, condition: Any, **values: Any) -> bool:
        values.setdefault("updated_at", self._clock())
        result = connection.execute(update(slides).where(condition).values(**values))
        assert isinstance(result, CursorResult)  # noqa: S101  for the type checker
        return bool(result.rowcount)

    def _note(
        self, connection: Connection, actor: str, slide_id: str | None, kind: str, text: str
    ) -> None:
        connection.execute(
            insert(events).values(
                at=self._clock(), actor=actor, slide_id=slide_id, kind=kind, text=text
            )
        )


_CLEAR = {"error": None, "error_code": None, "next_step": None, "next_try_at": None}
_AGAIN = {"state": State.WAITING, "attempts": 0, "retries": 0, "lease_token": None, "words": ""}
_STOP = {"lease_token": None, "words": ""}
_ACTIONS: dict[str, tuple[tuple[State, ...], dict[str, Any], str]] = {
    "retry": ((State.ASIDE, State.HELD, State.WAITING), _AGAIN | _CLEAR, "put back on the line"),
    "resume": ((State.HELD,), _AGAIN | _CLEAR, "released from hold"),
    "hold": (
        (State.WAITING, State.RUNNING, State.ASIDE),
        _STOP | {"state": State.HELD},
        "held",
    ),
    "set_aside": (
        # Done too: its tiles may still wait in a pool, and then they stay there.
        (State.WAITING, State.RUNNING, State.HELD, State.DONE),
        _STOP | {"state": State.ASIDE, "error_code": "set-aside-by-operator", "next_step": None},
        "set aside",
    ),
}
"""Action -> (states it may start from, new values, what was done in words)."""


def _siding(slide_id: str, revision: int) -> Select[str]:
    """Select the folder of answers that a revision came back with."""
    return select(products.c.folder).where(
        products.c.slide_id == slide_id,
        products.c.revision == revision,
        products.c.stage == SIDING,
    )


def _lost(claim: Claim) -> LeaseLost:
    return LeaseLost(f"Another worker took the slide over during the {claim.stage} stage.")
