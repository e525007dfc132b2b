"""What operators do to slides, and what daemons say of themselves."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, insert, update

from appliance.errors import ApplianceError, ForbiddenAction
from appliance.line import Mark, Stage, State, Verdict
from appliance.messages import SET_ASIDE_BY_OPERATOR
from appliance.stores.journal_rows import AGAIN, CLEAR, SlideRows
from appliance.stores.journal_schema import heartbeats, pauses, slides
from appliance.stores.parcels import error_values


class Operations(SlideRows):
    """Slides that somebody acts on."""

    def operate(self, action: str, slide_id: str, *, operator: str, reason: str = "") -> None:
        """Retry, hold, resume, set aside or mark a slide for an operator.

        Raises
        ------
        ForbiddenAction
            The action makes no sense in the slide's present state, or the slide is unknown.
        """
        chosen = _ACTIONS[action]
        condition = and_(slides.c.slide_id == slide_id, slides.c.state.in_(chosen.states))
        if chosen.only is not None:
            condition = and_(condition, chosen.only)
        with self._engine.begin() as connection:
            changes = dict(chosen.values)
            if action == "set_aside":
                changes["error"] = reason
            if "mark" in changes:
                changes["marked_at"] = self._clock()
            if not self._update(connection, condition, **changes):
                raise ForbiddenAction(chosen.refusal)
            if action == "retry" and self.parcels.lost_permission(connection, slide_id):
                at_deliver = and_(slides.c.slide_id == slide_id, slides.c.stage == Stage.DELIVER)
                self._update(connection, at_deliver, stage=Stage.RELEASE)
            elif action == "retry":
                self.parcels.retry_slide(connection, slide_id)
            if changes.get("state") == State.WAITING:  # its last parcel may have arrived meanwhile
                self.parcels.finish_slide(connection, slide_id)
            words = chosen.words + (f" Reason: {reason}" if reason else "")
            self._note(connection, operator, slide_id, action, words)

    def pause(self, daemon: str, *, operator: str, reason: str, words: str) -> None:
        """Write down that a daemon begins nothing new; one that is paused already is so anew."""
        values = {"at": self._clock(), "operator": operator, "reason": reason}
        with self._engine.begin() as connection:
            connection.execute(delete(pauses).where(pauses.c.daemon == daemon))
            connection.execute(insert(pauses).values(daemon=daemon, **values))
            why = f" Reason: {reason}" if reason else ""
            self._note(connection, operator, None, "pause", words + why)

    def go_on(self, daemon: str, *, operator: str, words: str) -> None:
        """Take a daemon's pause away.

        Raises
        ------
        ForbiddenAction
            It is not paused.
        """
        with self._engine.begin() as connection:
            if not connection.execute(delete(pauses).where(pauses.c.daemon == daemon)).rowcount:
                raise ForbiddenAction("It is not paused.")
            self._note(connection, operator, None, "go-on", words)

    def note(self, actor: str, kind: str, text: str, *, slide_id: str | None = None) -> None:
        """Append a fact to the event list."""
        with self._engine.begin() as connection:
            self._note(connection, actor, slide_id, kind, text)

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

    def heartbeat(self, daemon: str, *, pid: int, words: str) -> None:
        """Say that a daemon is alive."""
        values = {"at": self._clock(), "pid": pid, "words": words}
        with self._engine.begin() as connection:
            found = connection.execute(
                update(heartbeats).where(heartbeats.c.daemon == daemon).values(**values)
            )
            if not found.rowcount:
                connection.execute(insert(heartbeats).values(daemon=daemon, **values))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Operation:
    """What an operator does to a slide."""

    values: Mapping[str, Any]
    words: str
    """What was done, for the event list."""
    refusal: str
    states: tuple[State, ...] = tuple(State)
    """States it may start from."""
    only: ColumnElement[bool] | None = None
    """A further condition."""


def _change(done: str, values: Mapping[str, Any], *states: State) -> _Operation:
    return _Operation(
        values=values,
        words=f"The slide was {done}.",
        refusal=f"This slide cannot be {done} in its present state.",
        states=states,
    )


_STOP = {"lease_token": None, "words": ""}
_NOTHING_TO_MARK = "There is nothing to note: the verdict of this slide asks for nothing."
_ASKS = slides.c.verdict.in_([Verdict.RESCAN, Verdict.REVIEW])
_ACTIONS: Mapping[str, _Operation] = {
    "retry": _change("put back on the line", AGAIN | CLEAR, State.ASIDE, State.HELD, State.WAITING),
    "resume": _change("released from hold", AGAIN | CLEAR, State.HELD),
    "hold": _change(
        "held", _STOP | {"state": State.HELD}, State.WAITING, State.RUNNING, State.ASIDE
    ),
    "set_aside": _change(
        "set aside",
        _STOP | {"state": State.ASIDE, "error_code": SET_ASIDE_BY_OPERATOR, "next_step": None},
        # Done too: its tiles may still wait in a pool, and then they stay there.
        State.WAITING,
        State.RUNNING,
        State.HELD,
        State.DONE,
    ),
    "mark_requested": _Operation(
        values={"mark": Mark.REQUESTED},
        words="A rescan was asked for.",
        refusal=_NOTHING_TO_MARK,
        only=_ASKS,
    ),
    "mark_done": _Operation(
        values={"mark": Mark.DONE},
        words="Nothing more is to be done about the verdict.",
        refusal=_NOTHING_TO_MARK,
        only=_ASKS,
    ),
    "unmark": _Operation(
        values={"mark": None},
        words="What was noted about a rescan was taken back.",
        refusal="Nothing is noted about this slide.",
        only=slides.c.mark.is_not(None),
    ),
}
OPERATIONS = tuple(_ACTIONS)
"""Names of what an operator can do to a slide."""
