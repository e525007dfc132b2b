"""What operators do to slides, and what daemons say of themselves."""

from typing import Any

from sqlalchemy import and_, insert, update

from appliance.errors import ApplianceError, ForbiddenAction
from appliance.line import Stage, State
from appliance.stores.journal_rows import AGAIN, CLEAR, SlideRows
from appliance.stores.journal_schema import heartbeats, slides
from appliance.stores.parcels import error_values


class Operations(SlideRows):
    """Slides that somebody acts on."""

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


_STOP = {"lease_token": None, "words": ""}
_ACTIONS: dict[str, tuple[tuple[State, ...], dict[str, Any], str]] = {
    "retry": ((State.ASIDE, State.HELD, State.WAITING), AGAIN | CLEAR, "put back on the line"),
    "resume": ((State.HELD,), AGAIN | CLEAR, "released from hold"),
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
