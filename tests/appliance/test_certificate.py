"""Certificates: who may vouch for a plan, and what is refused."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.certificate import (
    CERTIFICATES,
    Corpus,
    Figure,
    Measurement,
    check_certified,
    read_certificate,
    write_certificate,
)
from appliance.errors import ConfigError

PLAN = "ab" * 32
KEY = Ed25519PrivateKey.generate()
KEYS = (KEY.public_key(),)


def figure(value: float = 0.01, limit: float | None = 0.02, *, at_least: bool = False) -> Figure:
    return Figure(
        corpus="slide",
        seen_by="one recipient",
        name="top_1",
        value=value,
        chance=0.002,
        limit=limit,
        at_least=at_least,
        n=100,
    )


def measurement(*figures: Figure) -> Measurement:
    return Measurement(
        plan_digest=PLAN,
        plan={"cell_px": 256},
        measured_on="2026-11-22",
        software="0.1.0",
        corpora=(Corpus(name="slide", kind="real", um_px=0.5, n_tiles=400),),
        figures=figures or (figure(),),
    )


def change(folder: Path, edit) -> None:
    path = folder / CERTIFICATES / f"{PLAN}.json"
    table = json.loads(path.read_bytes())
    edit(table)
    path.write_text(json.dumps(table, sort_keys=True, separators=(",", ":")))


def test_what_was_signed_is_read_again(tmp_path: Path) -> None:
    path = write_certificate(tmp_path, measurement(), KEY)
    assert path.name == f"{PLAN}.json"
    assert read_certificate(tmp_path, PLAN, KEYS).measurement == measurement()
    check_certified({"research": PLAN}, tmp_path, KEYS)


def test_a_certificate_may_say_no_and_then_the_route_is_refused(tmp_path: Path) -> None:
    write_certificate(tmp_path, measurement(figure(), figure(value=0.021)), KEY)
    assert not read_certificate(tmp_path, PLAN, KEYS).measurement.holds
    with pytest.raises(ConfigError, match="Route research: the attack"):
        check_certified({"research": PLAN}, tmp_path, KEYS)


def test_a_later_certificate_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    write_certificate(tmp_path, measurement(figure(value=1.0)), KEY)
    write_certificate(tmp_path, measurement(), KEY)
    check_certified({"research": PLAN}, tmp_path, KEYS)
    assert len(list((tmp_path / CERTIFICATES).iterdir())) == 1


@pytest.mark.parametrize(
    "edit",
    [
        lambda table: table["measurement"]["figures"][0].update(value=0.0),
        lambda table: table["measurement"].update(plan_digest="cd" * 32),
        lambda table: table.update(holds=False),
        lambda table: table.update(key_id="0" * 16),
        lambda table: table.update(signature="00" * 64),
        lambda table: table.update(signature="no digits"),
        lambda table: table.pop("signature"),
        lambda table: table.pop("measurement"),
        lambda table: table.update(more=1),
    ],
)
def test_whatever_was_altered_counts_no_more(tmp_path: Path, edit) -> None:
    write_certificate(tmp_path, measurement(), KEY)
    change(tmp_path, edit)
    with pytest.raises(ConfigError, match="Route research: The certificate"):
        check_certified({"research": PLAN}, tmp_path, KEYS)


def test_the_certificate_of_another_plan_is_refused_under_this_ones_name(tmp_path: Path) -> None:
    path = write_certificate(tmp_path, measurement(), KEY)
    other = "cd" * 32
    path.rename(path.with_name(f"{other}.json"))
    with pytest.raises(ConfigError, match="another one"):
        check_certified({"research": other}, tmp_path, KEYS)


def test_only_a_trusted_key_vouches_and_an_earlier_one_as_long_as_it_is_trusted(
    tmp_path: Path,
) -> None:
    write_certificate(tmp_path, measurement(), KEY)
    new = Ed25519PrivateKey.generate().public_key()
    check_certified({"research": PLAN}, tmp_path, (new, *KEYS))
    with pytest.raises(ConfigError, match="signed by another key"):
        check_certified({"research": PLAN}, tmp_path, (new,))


def test_no_certificate_is_said_with_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="coverslip privacy certify ROUTE"):
        check_certified({"research": PLAN}, tmp_path, KEYS)


def test_systemd_may_hand_the_certificates_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed_over = tmp_path / "credentials"
    handed_over.mkdir()
    path = write_certificate(tmp_path, measurement(), KEY)
    path.rename(handed_over / f"{CERTIFICATES}_{PLAN}.json")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(handed_over))
    check_certified({"research": PLAN}, tmp_path, KEYS)


@pytest.mark.parametrize(
    ("figures", "holds"),
    [
        ((figure(),), True),
        ((figure(value=0.02),), True),
        ((figure(value=0.0201),), False),
        ((figure(value=0.99, limit=0.95, at_least=True),), True),
        ((figure(value=0.9, limit=0.95, at_least=True),), False),
        ((figure(value=1.0, limit=None),), False),
        ((figure(), figure(value=1.0, limit=None)), True),
    ],
)
def test_a_plan_holds_when_something_was_asked_and_all_of_it_keeps_its_limit(figures, holds):
    assert measurement(*figures).holds is holds
