"""`coverslip privacy budget` and `policies`: what is left and what is promised, and no patient."""

import argparse
import json
import sqlite3

import pytest

from anonymizer.privacy import budget_command, policies_command
from appliance.errors import ConfigError, ForbiddenAction
from tests.anonymizer.release_line import INSIDE, Line, outside_sr_route, tiles_route

ROUTES = [
    INSIDE,
    tiles_route(tiles_per_shard=10, max_tiles_per_patient=20, colludes_with=[])
    | {"limits": {"parcels_per_day": 2, "mb_s": 3.0}},
    outside_sr_route(),
]


def toml(value) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {toml(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    line = Line(tmp_path_factory.mktemp("line"), ROUTES)
    for number in (1, 2):  # two slides of one patient, one of another
        line.bring(f"slide-{number}", number=number, patient=1)
        line.work()
    line.bring("slide-3", number=3, patient=2)
    line.work()
    yield line
    line.close()


def coverslip(line: Line, command, *arguments: str) -> int:
    path = line.path / "coverslip.toml"
    path.write_text(
        f"routes = {toml(line.routes)}\n"
        f'[storage]\nroot = "{line.root.path}"\n[keys]\nfolder = "{line.keys_folder}"\n'
    )
    parser = argparse.ArgumentParser()
    parser.add_argument("--settings")
    command.register(parser.add_subparsers())
    parsed = parser.parse_args(["--settings", str(path), *arguments])
    parsed.settings = path
    return parsed.run(parsed)


def test_the_budget_is_counted_over_slides_patients_and_days(line, capsys):
    assert coverslip(line, budget_command, "budget", "--json") == 0
    (budget,) = json.loads(capsys.readouterr().out)
    assert (budget["route"], budget["recipient"]) == ("research", "university")
    assert (budget["n_containers"], budget["n_patients"], budget["n_tiles"]) == (3, 2, 36)
    assert (budget["most_of_one_patient"], budget["n_exhausted"]) == (20, 1)
    assert (budget["n_waiting"], budget["n_waiting_patients"]) == (6, 1)
    assert budget["limits"] == {"parcels_per_day": 2}


def test_the_budget_is_told_in_words_without_any_patient(line, capsys):
    assert coverslip(line, budget_command, "budget") == 0
    out = capsys.readouterr().out
    assert "given    36 tiles of 3 containers of 2 patients" in out
    assert "the most any has given is 20; 1 have no more left" in out
    assert "6 tiles of 1 patients wait" in out
    for sampling in line.vault.samplings_of("university"):
        assert sampling.patient not in out
        assert sampling.container not in out


def test_tiles_that_were_cut_under_an_earlier_plan_are_told_as_stranded(line, capsys):
    before = line.routes[1]
    line.routes[1] = before | {"policy": before["policy"] | {"jpeg_quality": 70}}
    try:
        assert coverslip(line, budget_command, "budget") == 0
    finally:
        line.routes[1] = before
    out = capsys.readouterr().out
    assert "0 tiles of 0 patients wait" in out
    assert "stranded 6 tiles" in out


def test_what_is_left_of_a_slides_patient_is_told_by_route(line, capsys):
    for slide_id, left in (("slide-1", 0), ("slide-2", 0), ("slide-3", 4)):
        assert coverslip(line, budget_command, "budget", "--slide", slide_id, "--json") == 0
        assert json.loads(capsys.readouterr().out) == {"research": left}
    with pytest.raises(ForbiddenAction):
        coverslip(line, budget_command, "budget", "--slide", "unknown")


def test_no_budget_is_told_from_a_ledger_that_was_altered(line):
    execute(line, "UPDATE sampling SET n_tiles = n_tiles - 1")
    try:
        with pytest.raises(ConfigError, match="altered"):
            coverslip(line, budget_command, "budget")
    finally:
        execute(line, "UPDATE sampling SET n_tiles = n_tiles + 1")


def execute(line: Line, statement: str) -> None:
    connection = sqlite3.connect(line.root.zone("vault") / "vault.db")
    with connection:
        connection.execute(statement)
    connection.close()


def test_the_policy_of_every_route_is_told_with_what_it_does_not_protect_against(line, capsys):
    assert coverslip(line, policies_command, "policies") == 0
    out = capsys.readouterr().out
    for route in line.settings.routes:
        assert f"{route.name}: to {route.recipient} ({route.place}, {route.kind})" in out
        assert route.policy.statement in out
        assert route.policy_digest in out
    assert "may collude   nobody" in out
    assert "limits        parcels_per_day 2, mb_s 3.0" in out


def test_the_policies_are_values_for_a_script(line, capsys):
    assert coverslip(line, policies_command, "policies", "--json") == 0
    inside, tiles, bare = json.loads(capsys.readouterr().out)
    assert inside["sees"] == "the true patient"
    assert tiles["parameters"]["max_tiles_per_patient"] == 20
    assert tiles["plan_digest"] == line.settings.routes[1].policy.plan_digest
    assert (bare["mechanism"], bare["parameters"]) == ("bare_report", {})
