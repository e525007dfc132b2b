import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.errors import ApplianceError, IdentityDoubt
from appliance.line import SlideStatus, Stage, State
from appliance.storage import Root
from appliance.stores.journal import Journal
from tui.action import Action
from tui.actions import ACTIONS, MOVES, SLIDE_ACTIONS, action_named
from tui.performing import Target, daemon_for, perform
from tui.snapshot import Snapshot

ON_THE_JOURNAL = [action for action in SLIDE_ACTIONS if action.daemon is None]


def test_no_two_keys_are_the_same():
    keys = [action.key for action in ACTIONS] + [move.key for move in MOVES]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("action", ON_THE_JOURNAL, ids=lambda action: action.name)
def test_an_action_is_offered_exactly_where_the_journal_allows_it(
    journal: Journal, action: Action, state: State
):
    slide_id = put(journal, state)
    offered = status(journal, slide_id)
    fits = state in action.states and (action.when is None or action.when(offered))
    try:
        journal.operate(action.name, slide_id, operator="tester", reason="test")
    except ApplianceError:
        assert not fits
    else:
        assert fits


def test_an_action_goes_to_the_daemon_of_the_slides_stage(literal_line: Snapshot):
    hold = action_named("hold")
    found = {slide.slide_id: daemon_for(hold, slide) for slide in literal_line.slides}
    assert found["f7yd2nq5ce"] == "anonymize"
    assert found["p2cx6mb8ie"] == "infer"
    assert found["a9hj4ls1go"] == "deliver@pacs"
    assert daemon_for(action_named("force_complete"), literal_line.slides[0]) == "node"


def test_hold_changes_the_journal_through_a_real_socket(
    journal: Journal, serve: Callable[..., None], tmp_path: Path
):
    slide_id = put(journal, State.WAITING)
    serve("node")
    answer = perform(action_named("hold"), target(journal, slide_id), root=Root(tmp_path))
    assert answer.worked
    assert answer.sentence == "S26 is held."
    assert status(journal, slide_id).state is State.HELD
    assert journal.board.events(slide_id=slide_id)[-1].kind == "hold"


def test_an_action_that_makes_no_sense_is_answered_with_the_daemons_sentence(
    journal: Journal, serve: Callable[..., None], tmp_path: Path
):
    slide_id = put(journal, State.WAITING)
    serve("node")
    answer = perform(action_named("resume"), target(journal, slide_id), root=Root(tmp_path))
    assert not answer.worked
    assert answer.title == "This slide cannot be released from hold in its present state."
    assert answer.sentence


def test_a_missing_daemon_is_answered_with_how_to_start_it(journal: Journal, tmp_path: Path):
    slide_id = put(journal, State.WAITING)
    slide = dataclasses.replace(status(journal, slide_id), stage=Stage.INFER)
    of_infer = Target(shown="S26", slide=slide)
    answer = perform(action_named("hold"), of_infer, root=Root(tmp_path))
    assert answer.title == "The infer daemon does not answer."
    assert "coverslip-infer" in answer.sentence


def target(journal: Journal, slide_id: str) -> Target:
    return Target(shown="S26", slide=status(journal, slide_id))


def status(journal: Journal, slide_id: str) -> SlideStatus:
    found = journal.board.slide(slide_id)
    assert found is not None
    return found


def put(journal: Journal, state: State) -> str:
    """Bring a slide into a state by the journal's own doors; it stays at assemble if it can."""
    slide_id = "slide-under-test"
    journal.add_slide(slide_id, scanner="scanner-a", last_byte_at=1.0)
    if state is State.RECEIVING:
        return slide_id
    journal.complete(slide_id, actor="node", reason="test")
    if state in (State.RUNNING, State.ASIDE):
        claim = journal.claim(Stage.ASSEMBLE)
        assert claim is not None
        if state is State.ASIDE:
            journal.set_aside(claim, IdentityDoubt("test"))
    elif state is State.HELD:
        journal.operate("hold", slide_id, operator="tester")
    elif state is State.DONE:
        walk_to_the_end(journal)
    return slide_id


def walk_to_the_end(journal: Journal) -> None:
    """Let a slide walk all stages without a parcel."""
    from appliance.line import Outcome

    for stage in list(Stage)[:-1]:
        claim = journal.claim(stage)
        assert claim is not None
        journal.advance(claim, Outcome())
