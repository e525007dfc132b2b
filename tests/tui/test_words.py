import dataclasses

import pytest
from rich.cells import cell_len

from appliance.attention import Attention
from appliance.line import Role, SlideStatus, Stage, State, Verdict
from tui import amounts, words
from tui.rows import layout_for, slide_line
from tui.snapshot import FEW_GROUPS, GROUPS, Snapshot
from tui.themes import THEMES, next_theme


def test_words_are_total_over_their_enums():
    assert set(words.STAGES) == set(words.STAGE_SENTENCES) == set(Stage)
    assert set(words.STATES) == set(words.DELIVERIES) == set(words.NEXT_STEPS) == set(State)
    assert set(words.VERDICTS) == set(words.VERDICT_SENTENCES) == set(Verdict)
    assert set(words.ROLES) == set(Role)
    assert set(GROUPS) == set(FEW_GROUPS) == set(Attention)


@pytest.mark.parametrize("table", [words.STATES, words.DELIVERIES, words.VERDICTS])
def test_every_value_has_a_word_and_a_glyph_of_its_own_so_that_colour_is_never_the_only_sign(table):
    assert len({word.text for word in table.values()}) == len(table)
    assert len({word.glyph for word in table.values()}) == len(table)
    assert all(cell_len(word.glyph) == 1 for word in table.values())
    assert all(word.tone in words.TONES for word in table.values())


def test_the_stage_line_shows_what_is_done_where_it_is_and_what_is_to_come():
    glyphs = "".join(word.glyph for word in words.stage_glyphs(Stage.INFER, State.RUNNING))
    assert glyphs == "●●◉○○○"
    glyphs = "".join(word.glyph for word in words.stage_glyphs(Stage.DELIVER, State.DONE))
    assert glyphs == "●●●●●●"


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("stage", Stage)
def test_every_stage_and_state_can_be_said_in_the_room_of_a_narrow_row(
    literal_line: Snapshot, stage: Stage, state: State
):
    slide = dataclasses.replace(literal_line.slides[2], stage=stage, state=state, progress=0.5)
    room = layout_for(80).doing
    assert 0 < len(words.doing(slide, literal_line.at)) <= room
    assert words.where(slide, literal_line.at)
    assert words.next_step(slide)


@pytest.mark.parametrize("width", [80, 99, 100, 131, 132, 140, 200])
def test_a_row_fills_exactly_the_width_of_the_terminal(literal_line: Snapshot, width: int):
    for slide in literal_line.slides:
        line = slide_line(slide, name="S26", now=literal_line.at, layout=layout_for(width))
        assert line.cell_length == width - 1, slide.slide_id


def test_a_row_says_the_verdict_in_words(literal_line: Snapshot):
    rescan: SlideStatus = literal_line.slides[0]
    layout = layout_for(160, ("pacs", "registry"))
    line = slide_line(rescan, name="S26-1", now=literal_line.at, layout=layout).plain
    assert "S26-1" in line
    assert "●──●──●──●──●──●" in line
    assert "↻ rescan  31 % of the tissue is out of focus" in line
    assert "● pacs" in line


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0.84, "0.8 s"), (12.2, "12 s"), (72, "1:12"), (3723, "1:02:03"), (-1, "0.0 s")],
)
def test_durations_are_written_for_people(seconds: float, written: str):
    assert amounts.duration(seconds) == written


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(2, "just now"), (42, "42 s ago"), (180, "3 min ago"), (7300, "2 h ago"), (2e5, "2 d ago")],
)
def test_ages_are_written_for_people(seconds: float, written: str):
    assert amounts.age(seconds) == written


@pytest.mark.parametrize("part", [0.0, 0.001, 0.333, 0.5, 1.0, 1.7])
def test_a_bar_fills_its_width_and_shows_whatever_is_more_than_nothing(part: float):
    filled, rest = amounts.bar(part, 20)
    assert len(filled) + len(rest) == 20
    assert bool(filled) == (part > 0)


def test_themes_follow_each_other_in_a_circle():
    name = THEMES[0].name
    seen = []
    for _ in THEMES:
        seen.append(name)
        name = next_theme(name).name
    assert name == THEMES[0].name
    assert len(set(seen)) == len(THEMES) == 4
    assert next_theme("nord") is THEMES[0]
