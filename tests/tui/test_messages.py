"""What is wrong with a slide is explained by its code."""

from appliance.line import Stage, State
from appliance.messages import SET_ASIDE_BY_OPERATOR, message
from tests.tui.conftest import slide
from tui.messages import explained


def aside(**changes):
    return slide("f7yd2nq5ce", Stage.DEIDENTIFY, State.ASIDE, **changes)


def test_trouble_is_explained_by_title_cause_and_next_step():
    found = explained(
        aside(error="The label can still be read.", error_code="text-on-slide", next_step="Wipe.")
    )
    assert found is not None
    assert found.sentence == "The label can still be read."
    assert found.title == "Something can be read on the picture"
    assert found.cause.startswith("Ink or writing")
    assert found.next_step == "Wipe."


def test_a_slide_that_a_person_set_aside_says_how_it_comes_back():
    found = explained(aside(error="Broken glass.", error_code=SET_ASIDE_BY_OPERATOR))
    assert found is not None
    assert found.next_step == message(SET_ASIDE_BY_OPERATOR).next_step


def test_a_slide_without_trouble_needs_no_explanation():
    assert explained(slide("p2cx6mb8ie", Stage.INFER, State.RUNNING)) is None
