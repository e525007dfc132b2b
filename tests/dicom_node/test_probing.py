"""Probes: a route's other side is asked for real, nothing of a slide is sent, and it is noted."""

from dataclasses import replace
from pathlib import Path

import pytest

from appliance.control import Operator
from appliance.errors import PeerUnavailable
from appliance.line import Role, State
from appliance.settings import Route
from dicom_node.deliver.probing import Probing
from tests.dicom_node.conftest import Hospital
from tests.dicom_node.oip_double import Behaviour, by_http
from tests.dicom_node.oip_site import site_route
from tests.dicom_node.real_peers import free_port
from tests.dicom_node.test_deliver import (  # noqa: F401  fixtures
    Line,
    _inside,
    _outside,
    _shard,
    dimse,
    journal,
    peer,
    tiles,
)
from tests.dicom_node.web_scanner import TOKEN, serving, token_file

ANNA = Operator(name="anna", role=Role.TECHNICIAN)


def probe(route: Route) -> tuple[bool, str]:
    """Ask, and give what is shown; the event has to say the same."""
    noted: list[tuple[str, str, str]] = []
    probing = Probing(route, lambda *one: noted.append(one), clock=lambda: 7.0)
    found = probing.run("anna")
    assert probing.last is found
    assert found.at == 7.0
    ((who, kind, text),) = noted
    assert (who, kind) == ("anna", "probe")
    assert f"Route {route.name}: {found.words}" in text
    return found.well, found.words


def test_a_pacs_that_is_there_answers_c_echo(dimse: Line) -> None:  # noqa: F811
    assert probe(dimse.route) == (True, "PACS answers C-ECHO")


def test_a_pacs_that_is_away_is_said_to_be() -> None:
    well, words = probe(_inside(free_port()))
    assert not well
    assert words == "The peer does not answer at its address."


def test_a_pacs_that_goes_by_another_name_says_so(dimse: Line) -> None:  # noqa: F811
    pacs = dimse.route.peer
    assert pacs is not None
    other = pacs.model_copy(update={"ae_title": "ARCHIVE"})
    well, words = probe(dimse.route.model_copy(update={"peer": other}))
    assert not well
    assert "another AE title" in words


def test_a_folder_is_looked_at_and_left_as_it_is(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    well, words = probe(_outside(there))
    assert well
    assert words.startswith("The folder can be written")
    assert list(there.iterdir()) == []
    assert probe(_outside(tmp_path / "away")) == (
        False,
        "The folder of the route is not there now.",
    )


def test_a_dicomweb_service_without_a_search_is_there_all_the_same(
    hospital: Hospital, tmp_path: Path
) -> None:
    with serving(hospital, tmp_path) as scanner:
        web = {"url": f"{scanner.base}", "token_file": token_file(tmp_path, TOKEN)}
        route = Route.model_validate(
            {
                "name": "web",
                "recipient": "hospital",
                "place": "inside",
                "kind": "stow",
                "carries": ["SR"],
                "addresses": ["127.0.0.0/8"],
                "web": web,
            }
        )
        well, words = probe(route)
    assert well, words
    assert words.startswith("127.0.0.1 answers, and does not search")
    well, words = probe(route)
    assert (well, words) == (False, "The peer does not answer at its address.")


def test_every_model_server_is_asked_whether_it_fits() -> None:
    away = f"http://127.0.0.1:{free_port()}"
    with by_http(Behaviour()) as good, by_http(Behaviour(says="side")) as unfit:
        assert probe(site_route([good.url])) == (True, "Model servers that answer and fit: 1 of 1")
        well, words = probe(site_route([good.url, unfit.url, away]))
        assert well
        assert words.startswith("Model servers that answer and fit: 1 of 3. ")
        assert unfit.name in words
        assert away.removeprefix("http://") in words
        assert not probe(site_route([unfit.url]))[0]
        assert not good.asked, "no tile was sent"


def test_a_probe_is_a_command_that_answers_in_words_or_refuses_with_the_reason(
    dimse: Line,  # noqa: F811
) -> None:
    def run(route: Route) -> dict[str, object]:
        command = Probing(route, dimse.journal.note).commands()["probe"]
        return command.run(ANNA, {})

    told = run(dimse.route)
    assert str(told["words"]).startswith("Route pacs: PACS answers C-ECHO, in ")
    with pytest.raises(PeerUnavailable, match="Route pacs: The peer does not answer"):
        run(_inside(free_port()))
    assert [one.kind for one in dimse.journal.board.events()] == ["probe", "probe"]


def test_a_paused_route_sends_nothing(tiles: Line, tmp_path: Path) -> None:  # noqa: F811
    tiles.hand_over(_shard(tmp_path), kind="tiles", file_kind="tiles")
    assert not replace(tiles.deliverer(), is_paused=lambda: True).step()
    assert tiles.status().state is State.WAITING
    assert tiles.deliverer().step()
    assert tiles.status().state is State.DONE
