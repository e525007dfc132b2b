"""What a daemon tells of itself: written as JSON, read by whoever, whatever its version."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from appliance import __version__, facts
from appliance.control import Operator
from appliance.daemon import Daemon, open_journal
from appliance.errors import TransientError
from appliance.facts import Facts, KeyAge, LoadedModel, OpenCommitments, StoreVersion, Told
from appliance.line import Role
from appliance.settings import Keys, Settings, Storage
from tests.tui.literal_facts import literal_facts

SOMEONE = Operator(name="anna", role=Role.VIEWER)
NOW = 1_790_000_000.0
EVERY_ANSWER = tuple(literal_facts(NOW).told.values())


@pytest.mark.parametrize("told", EVERY_ANSWER, ids=[one.daemon for one in EVERY_ANSWER])
def test_what_is_written_is_read_again(told: Told):
    answer = json.loads(json.dumps(_answer(told)))
    assert facts.read(answer) == told


def test_what_does_not_fit_is_left_out_and_the_rest_is_read():
    model = LoadedModel(name="m", version="1", task="tissue", digest="0" * 64, device="cpu")
    known = Facts(models=(model,), keys=(KeyAge(name="sign", key_id="ab", since=None),))
    answer = json.loads(json.dumps(_answer(Told(daemon="infer", facts=known))))
    answer["facts"]["models"].append({"name": "half a model"})
    answer["facts"]["keys"] = "a word"
    answer["facts"]["commitments"] = {"undecided": "many"}
    answer["facts"]["of a later version"] = 1
    answer["facts"]["models"][0]["of a later version"] = 1
    answer["memory_bytes"] = "much"
    assert facts.read(answer) == Told(daemon="infer", facts=Facts(models=(model,)))


@pytest.mark.parametrize("answer", [{}, {"facts": None}, {"facts": [1]}, {"daemon": 3}])
def test_an_answer_that_says_nothing_is_read_as_nothing(answer: dict):
    assert facts.read(answer) == Told(daemon="")


def test_an_older_daemon_without_facts_is_read():
    answer = {"daemon": "node", "pid": 7, "words": "", "operator": "anna", "role": "viewer"}
    assert facts.read(answer) == Told(daemon="node", pid=7)


@pytest.fixture
def daemon(tmp_path: Path) -> Callable[[Callable[[], Facts]], Daemon]:
    settings = Settings(storage=Storage(root=tmp_path), keys=Keys(folder=tmp_path / "keys"))

    def make(known: Callable[[], Facts]) -> Daemon:
        journal = open_journal(settings)
        return Daemon(name="node", settings=settings, journal=journal, steps=[], facts=known)

    return make


def test_every_daemon_tells_its_version_its_age_its_memory_and_the_schema(daemon):
    waiting = OpenCommitments(undecided=1, unanswered=0, oldest_at=1.0, next_try_at=None)
    told = asked(daemon(lambda: Facts(commitments=waiting)))
    assert told.version == __version__
    assert told.started_at is not None
    assert told.memory_bytes > 10_000_000
    assert told.facts.commitments == waiting
    (journal,) = told.facts.stores
    assert journal == StoreVersion(store="journal", schema=journal.schema)
    assert journal.schema.startswith("journal_")


def test_a_daemon_whose_facts_cannot_be_read_now_still_answers(daemon):
    def locked() -> Facts:
        raise TransientError("The receipts database does not answer.")

    told = asked(daemon(locked))
    assert told.lacks == "The receipts database does not answer."
    assert told.facts == Facts()
    assert told.version == __version__


def asked(daemon: Daemon) -> Told:
    """Read the answer as it comes over the socket."""
    return facts.read(json.loads(json.dumps(daemon._status(SOMEONE, {}))))


def _answer(told: Told) -> dict:
    plain = replace(told, facts=Facts())
    names = [name for name in Told.__slots__ if name != "facts"]
    return {name: getattr(plain, name) for name in names} | {"facts": facts.written(told.facts)}
