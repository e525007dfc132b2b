from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from appliance.control import Command, Operator
from appliance.errors import ForbiddenAction
from appliance.line import Role
from appliance.storage import Root
from tui.names import ASK_AGAIN_S, Names, ask, identifiers


def test_one_call_asks_for_a_whole_screenful(serve: Callable[..., None], tmp_path: Path):
    asked: list[list[str]] = []

    def identify(_operator: Operator, arguments: Mapping[str, Any]) -> dict[str, Any]:
        asked.append(arguments["slide_ids"])
        return {"slides": {arguments["slide_ids"][0]: {"container_identifier": "S26-1"}}}

    serve("release", {"identify": Command(role=Role.TECHNICIAN, run=identify)})
    assert ask(Root(tmp_path), ("one", "two")) == {"one": "S26-1"}
    assert asked == [["one", "two"]]


def test_a_missing_release_daemon_is_told_from_one_that_refuses(
    serve: Callable[..., None], tmp_path: Path
):
    assert ask(Root(tmp_path), ("one",)) is None

    def refuse(_operator: Operator, _arguments: Mapping[str, Any]) -> dict[str, Any]:
        raise ForbiddenAction("The action identify needs the role technician.")

    serve("release", {"identify": Command(role=Role.VIEWER, run=refuse)})
    assert ask(Root(tmp_path), ("one",)) == {}


def test_what_is_known_is_not_asked_again_and_the_rest_ever_less_often():
    names = Names()
    assert names.to_ask(("one", "two"), now=0.0) == ("one", "two")
    names.learn({"one": "S26-1"})
    assert names.of("one") == "S26-1"
    assert names.to_ask(("one", "two"), now=1.0) == ()
    assert names.to_ask(("one", "two"), now=ASK_AGAIN_S) == ("two",)
    assert names.to_ask(("one", "two"), now=3 * ASK_AGAIN_S) == ()
    assert names.to_ask(("one", "two"), now=5 * ASK_AGAIN_S) == ("two",)


def test_without_a_name_the_short_id_is_shown():
    assert Names().of("abcdefghijklmnop") == "abcdefgh"


def test_an_answer_that_does_not_fit_is_left_out():
    assert identifiers({}) == {}
    assert identifiers({"slides": ["x"]}) == {}
    answer = {"a": {"container_identifier": ""}, "b": 3, "c": {"container_identifier": "S"}}
    assert identifiers({"slides": answer}) == {"c": "S"}
