"""Notices arrive at real receivers: by HTTPS and by e-mail, once each, and after a failure too."""

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import ApplianceError, ConfigError, RejectedError
from appliance.line import Mark, Outcome, Stage, Verdict
from appliance.settings import Settings
from appliance.stores.database import open_engine
from appliance.stores.journal import Journal
from appliance.stores.journal_schema import events, heartbeats, parcels, slides
from appliance.supervisor import Supervisor, daemon_commands
from appliance.worker import LONGEST_RETRY_S
from dicom_node.notify.daemon import receivers_of, send_test, terms_of
from dicom_node.notify.message import Message
from dicom_node.notify.messenger import LONGEST_SEND_S, Messenger
from dicom_node.notify.notebook import Notebook
from dicom_node.notify.notice import Notice
from dicom_node.notify.watch import LOOK_EVERY_S, Watch
from tests.dicom_node.conftest import wait_until
from tests.dicom_node.real_peers import Certificates, certificates, free_port
from tests.dicom_node.told import Desk, Post, http_desk, mail_post

NAME = "hooks.hospital.example"
SLIDES = ("abcdefghijklmnopqrstuvwx27", "bbcdefghijklmnopqrstuvwx27")
REASON = "31 % of the tissue is out of focus (limit 15 %)."


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("tls"), NAME)


def settings_of(folder: Path, **notices: Any) -> Settings:
    return Settings.model_validate(
        {
            "storage": {"root": folder / "root", "soft_free_gib": 0, "hard_free_gib": 0},
            "keys": {"folder": folder / "keys"},
            "scanners": [{"name": "scanner-a", "ae_title": "SCANNER", "addresses": ["10.0.0.0/8"]}],
            "notices": {"addresses": ["127.0.0.0/8"], "gather_s": 0, **notices},
        }
    )


def webhook(desk: Desk, keys: Certificates | None = None, **changes: Any) -> dict[str, Any]:
    tls = {} if keys is None else {"tls": {"ca": keys.ca, "server_name": NAME}}
    scheme = "http" if keys is None else "https"
    return {"url": f"{scheme}://127.0.0.1:{desk.port}/hook?room=7"} | tls | changes


def email(post: Post, folder: Path, keys: Certificates, **changes: Any) -> dict[str, Any]:
    password = folder / "password"
    password.write_text(f"{post.password}\n")
    return {
        "host": "127.0.0.1",
        "port": post.port,
        "tls": {"ca": keys.ca, "server_name": NAME},
        "sender": "coverslip@hospital.example",
        "to": ["lab@hospital.example", "night@hospital.example"],
        "user": "coverslip",
        "password_file": password,
    } | changes


NOTICE = Notice(
    key="rescan:1",
    subject="rescan",
    code="rescan",
    sentence="Scan this slide again: 31 % of the tissue is out of focus.",
    next_step="Scan it again.",
    slide_id=SLIDES[0],
    scanner="scanner-a",
)
MESSAGE = Message(message_id="0f" * 16, at=1_790_000_000.0, notices=(NOTICE,))


def send_all(settings: Settings) -> None:
    for receiver in receivers_of(settings, terms_of(settings)):
        receiver.send(MESSAGE)


# One message.


def test_a_webhook_gets_json_by_https_with_our_token(tmp_path: Path, keys: Certificates) -> None:
    token = tmp_path / "token"
    token.write_text("let-me-in\n")
    with http_desk(keys) as desk:
        send_all(settings_of(tmp_path, webhook=webhook(desk, keys, token_file=token)))
    ((headers, body),) = desk.requests
    assert desk.paths == ["/hook?room=7"]
    assert headers["Authorization"] == "Bearer let-me-in"
    assert headers["Content-Type"] == "application/json"
    assert headers["Host"] == f"127.0.0.1:{desk.port}"
    table = json.loads(body)
    assert table["id"] == MESSAGE.message_id
    assert table["from"] == "COVERSLIP"
    assert "1 slide to scan again" in table["text"]
    assert table["notices"] == [
        {
            "subject": "rescan",
            "code": "rescan",
            "sentence": NOTICE.sentence,
            "next_step": NOTICE.next_step,
            "slide": SLIDES[0],
            "scanner": "scanner-a",
        }
    ]


def test_a_url_that_is_a_secret_comes_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "hook"
    secret.write_text("T012/B345/x-y_z\n")
    with http_desk() as desk:
        hook = {"url": f"http://127.0.0.1:{desk.port}/services/", "path_file": secret}
        send_all(settings_of(tmp_path, webhook=hook))
        assert desk.paths == ["/services/T012/B345/x-y_z"]
        secret.write_text("two words")
        with pytest.raises(ConfigError, match="does not hold the rest of a url") as refused:
            send_all(settings_of(tmp_path, webhook=hook))
        assert "two" not in str(refused.value)


def test_a_name_is_looked_up_and_its_certificate_checked(
    tmp_path: Path, keys: Certificates
) -> None:
    local = certificates(tmp_path / "local", "localhost")
    with http_desk(local) as desk, http_desk(keys) as other:
        hook = {"url": f"https://localhost:{desk.port}/", "tls": {"ca": local.ca}}
        send_all(settings_of(tmp_path, webhook=hook))
        assert desk.requests[0][0]["Host"] == f"localhost:{desk.port}"
        with pytest.raises(RejectedError, match=r"leads out of notices\.addresses"):
            send_all(settings_of(tmp_path, webhook=hook, addresses=["192.0.2.0/24"]))
        hook = {"url": f"https://localhost:{other.port}/", "tls": {"ca": keys.ca}}
        with pytest.raises(RejectedError, match="for another host name"):
            send_all(settings_of(tmp_path, webhook=hook))
    assert (len(desk.requests), len(other.requests)) == (1, 0)


@pytest.mark.parametrize("starttls", [True, False])
def test_an_email_goes_to_everybody_by_tls(
    tmp_path: Path,
    keys: Certificates,
    starttls: bool,  # noqa: FBT001
) -> None:
    with mail_post(keys, starttls=starttls) as post:
        changes: dict[str, Any] = {} if starttls else {"security": "tls"}
        if not starttls:
            changes |= {"user": None, "password_file": None}
        send_all(settings_of(tmp_path, email=email(post, tmp_path, keys, **changes)))
    (letter,) = post.letters
    assert post.people == ["lab@hospital.example", "night@hospital.example"]
    assert post.logins == ([("coverslip", post.password)] if starttls else [])
    assert letter["Subject"] == "Coverslip: 1 slide to scan again"
    assert letter["Message-ID"] == f"<{MESSAGE.message_id}@hospital.example>"
    assert letter["Auto-Submitted"] == "auto-generated"
    assert NOTICE.sentence in letter.get_content()
    assert SLIDES[0] in letter.get_content()


def test_a_mail_server_without_starttls_gets_neither_password_nor_message(
    tmp_path: Path, keys: Certificates
) -> None:
    with mail_post() as post:
        settings = settings_of(tmp_path, email=email(post, tmp_path, keys))
        with pytest.raises(RejectedError, match="does not offer"):
            send_all(settings)
    assert (post.logins, post.letters) == ([], [])


def test_a_server_with_a_strangers_certificate_gets_nothing(
    tmp_path: Path, keys: Certificates
) -> None:
    strangers = certificates(tmp_path / "strangers", NAME)
    with mail_post(strangers) as post, http_desk(strangers) as desk:
        for receiver in (
            {"email": email(post, tmp_path, keys)},
            {"webhook": webhook(desk, keys)},
        ):
            with pytest.raises(RejectedError, match="not present a certificate that we trust"):
                send_all(settings_of(tmp_path, **receiver))
    assert (post.logins, post.letters, desk.requests) == ([], [], [])


def test_what_a_mail_server_says_is_told_by_number_and_never_quoted(
    tmp_path: Path, keys: Certificates
) -> None:
    with mail_post(keys) as post:
        settings = settings_of(tmp_path, email=email(post, tmp_path, keys))
        post.answer = "554 Meier, Anna"
        with pytest.raises(RejectedError, match=r"did not take the message \(SMTP 554\)\.$"):
            send_all(settings)
        post.answer = "451 Meier, Anna"
        with pytest.raises(ApplianceError, match=r"did not take the message \(SMTP 451\)\.$"):
            send_all(settings)
        post.answer = "250 taken"
        (tmp_path / "password").write_text("another")
        with pytest.raises(RejectedError, match="does not accept our user and password"):
            send_all(settings)
        (tmp_path / "password").write_text(post.password)
        post.refused = frozenset({"lab@hospital.example"})
        (receiver,) = receivers_of(settings, terms_of(settings))
        assert receiver.send(MESSAGE) == "The mail server took it for 1 of 2 addresses."
        post.refused = frozenset({"lab@hospital.example", "night@hospital.example"})
        with pytest.raises(RejectedError, match="refused every address"):
            send_all(settings)


def test_a_mail_server_that_hangs_up_after_it_took_a_letter_gets_no_copy(
    tmp_path: Path, keys: Certificates
) -> None:
    with mail_post(keys) as post:
        post.hangs_up = True
        send_all(settings_of(tmp_path, email=email(post, tmp_path, keys)))
    assert len(post.letters) == 1


@pytest.mark.parametrize(
    ("challenge", "sentence"),
    [
        ("334 nonsense1", "offers no login that we can follow"),
        ("\r\n".join(["334-on and on"] * 10_000), "or broke off"),
    ],
)
def test_a_mail_server_that_talks_nonsense_is_said(
    challenge: str, sentence: str, tmp_path: Path, keys: Certificates
) -> None:
    with mail_post(keys) as post:
        post.challenge = challenge
        with pytest.raises(ApplianceError, match=sentence):
            send_all(settings_of(tmp_path, email=email(post, tmp_path, keys)))


def test_a_password_that_mail_servers_read_in_different_ways_is_said_at_the_start(
    tmp_path: Path, keys: Certificates
) -> None:
    settings = settings_of(tmp_path, email=email(Post(), tmp_path, keys))
    (tmp_path / "password").write_text("geheimä\n")
    with pytest.raises(ConfigError, match="letters beyond ASCII"):
        receivers_of(settings, terms_of(settings))


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (401, "does not accept our token"),
        (404, "does not take messages at this URL"),
        (302, "does not take messages at this URL"),
        (429, "takes no more for now"),
        (500, "failed over the message"),
    ],
)
def test_an_answer_that_is_no_success_is_said(status: int, sentence: str, tmp_path: Path) -> None:
    with http_desk() as desk:
        desk.status = status
        with pytest.raises(ApplianceError, match=sentence):
            send_all(settings_of(tmp_path, webhook=webhook(desk)))


def test_nobody_there_is_said(tmp_path: Path, keys: Certificates) -> None:
    nobody = {"url": f"http://127.0.0.1:{free_port()}/"}
    with pytest.raises(ApplianceError, match="does not answer at its address"):
        send_all(settings_of(tmp_path, webhook=nobody))
    post = Post()
    with pytest.raises(ApplianceError, match="mail server does not answer"):
        send_all(settings_of(tmp_path, email=email(post, tmp_path, keys)))


def test_a_file_that_is_missing_stops_the_daemon_at_once(
    tmp_path: Path, keys: Certificates
) -> None:
    for table, sentence in (
        ({"webhook": {"url": "https://127.0.0.1/", "tls": {"ca": "/none"}}}, "tls.ca"),
        (
            {"webhook": {"url": "https://127.0.0.1/", "token_file": "/none"}},
            "notices.webhook.token_file",
        ),
        (
            {"email": email(Post(), tmp_path, keys, password_file="/none")},  # noqa: S106
            "notices.email.password_file",
        ),
    ):
        settings = settings_of(tmp_path, **table)
        with pytest.raises(ConfigError, match=re.escape(sentence)):
            receivers_of(settings, terms_of(settings))


def test_a_test_message_says_what_each_receiver_did(tmp_path: Path, keys: Certificates) -> None:
    said: list[str] = []
    with http_desk() as desk:
        nobody = email(Post(), tmp_path, keys)
        settings = settings_of(tmp_path, webhook=webhook(desk), email=nobody)
        assert not send_test(settings, said.append)
        assert send_test(settings_of(tmp_path, webhook=webhook(desk)), said.append)
    assert said[0] == "webhook: The webhook took it (HTTP 204)."
    assert said[1].startswith("e-mail: The mail server does not answer")
    assert desk.tables[0]["test"] is True


# The journal, the watch and the messengers together.


class Night:
    """A journal that a test fills, and the daemon's steps as its threads take them."""

    def __init__(self, settings: Settings) -> None:
        self.now = 1_790_000_000.0
        self.settings = settings
        engine = open_engine(settings.journal_url, store="journal")
        self.engine = engine
        self.journal = Journal(engine, self.clock)
        self.start()

    def clock(self) -> float:
        return self.now

    def start(self) -> None:
        """Begin as the daemon does, with what its file remembers."""
        terms = terms_of(self.settings)
        receivers = receivers_of(self.settings, terms)
        file = self.settings.storage.root / "told.json"
        notebook = Notebook(file, [one.name for one in receivers])
        self.watch = Watch(
            self.journal, self.settings, terms, notebook, clock=self.clock, local=time.gmtime
        )
        self.messengers = [
            Messenger(one, notebook, self.journal, clock=self.clock, wait_s=lambda n: 5.0 * 2**n)
            for one in receivers
        ]

    def pass_by(self, seconds: float = LOOK_EVERY_S) -> None:
        self.now += seconds
        for name in daemon_commands(self.settings):
            self.journal.heartbeat(name, pid=1, words="")
        self.watch.step()
        for messenger in self.messengers:
            messenger.step()

    def judge(self, slide_id: str, verdict: Verdict = Verdict.RESCAN, reason: str = REASON) -> None:
        self.journal.add_slide(slide_id, scanner="scanner-a", last_byte_at=self.now)
        self.journal.complete(slide_id, actor="node", reason="all there")
        for stage in (Stage.ASSEMBLE, Stage.DEIDENTIFY, Stage.INFER):
            claim = self.journal.claim(stage)
            assert claim is not None
            judged = stage is Stage.INFER
            outcome = Outcome(verdict=verdict, reason=reason) if judged else Outcome()
            self.journal.advance(claim, outcome)

    def said(self, kind: str) -> list[str]:
        return [event.text for event in self.journal.board.events() if event.kind == kind]


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Callable[..., Night]]:
    nights: list[Night] = []

    def begin(**notices: Any) -> Night:
        nights.append(Night(settings_of(tmp_path, **notices)))
        return nights[-1]

    yield begin
    for one in nights:
        one.engine.dispose()


def slides_told(desk: Desk) -> list[str]:
    return [notice["slide"] for notice in desk.told]


def test_a_rescan_is_told_once_also_over_a_restart(night: Callable[..., Night]) -> None:
    with http_desk() as desk:
        lab = night(webhook=webhook(desk))
        lab.judge(SLIDES[0])
        lab.pass_by()
        lab.pass_by()
        lab.start()
        lab.pass_by()
        lab.judge(SLIDES[1])
        lab.pass_by()
        lab.start()
        lab.pass_by(90_000)
        assert slides_told(desk) == list(SLIDES)
    assert lab.said("notice-sent")[0] == ("Told by webhook: 1. The webhook took it (HTTP 204).")


def test_a_rescan_that_somebody_asked_for_is_not_told(night: Callable[..., Night]) -> None:
    with http_desk() as desk:
        lab = night(webhook=webhook(desk))
        lab.judge(SLIDES[0])
        with lab.engine.begin() as connection:
            connection.execute(slides.update().values(mark=Mark.REQUESTED, marked_at=lab.now))
        lab.pass_by()
        assert slides_told(desk) == []


def test_a_receiver_that_fails_is_said_on_the_screen_tried_again_and_keeps_nobody_waiting(
    night: Callable[..., Night], tmp_path: Path, keys: Certificates
) -> None:
    with http_desk() as desk, mail_post(keys) as post:
        lab = night(webhook=webhook(desk), email=email(post, tmp_path, keys))
        desk.status = 503
        lab.judge(SLIDES[0])
        lab.pass_by()
        assert len(post.letters) == 1
        assert lab.messengers[0].words() == (
            "webhook takes no notices, 1 wait: The receiver takes no more for now (HTTP 503)."
        )
        lab.judge(SLIDES[1])
        for _ in range(10):
            lab.pass_by()
        assert len(lab.said("notice-failed")) == 1
        desk.status = 200
        lab.pass_by(LONGEST_RETRY_S)
        lab.pass_by()
        assert slides_told(desk) == list(SLIDES)
        assert len(post.letters) == 2
        assert lab.messengers[0].words() == "webhook"
        assert any(text.startswith("Messages arrive again.") for text in lab.said("notice-sent"))


def test_a_clock_that_is_set_back_puts_nothing_off(night: Callable[..., Night]) -> None:
    with http_desk() as desk:
        lab = night(webhook=webhook(desk), gather_s=30)
        lab.judge(SLIDES[0])
        lab.pass_by()
        lab.pass_by(-86_400)
        desk.status = 503
        lab.pass_by(-86_400)
        desk.status = 200
        lab.pass_by(-86_400)
        assert slides_told(desk) == [SLIDES[0]]


def test_a_receiver_that_comes_to_no_end_is_said_on_the_screen(
    night: Callable[..., Night],
) -> None:
    with http_desk() as desk:
        lab = night(webhook=webhook(desk))
        lab.judge(SLIDES[0])
        words: list[str] = []

        def look_meanwhile() -> None:
            lab.now += LONGEST_SEND_S + 1
            words.append(lab.messengers[0].words())

        desk.meanwhile = look_meanwhile
        lab.pass_by()
        assert words == [
            "webhook takes no notices: it has been answering for minutes, without an end."
        ]
        assert lab.messengers[0].words() == "webhook"


def test_a_message_that_is_tried_again_keeps_its_id_over_a_restart(
    night: Callable[..., Night],
) -> None:
    with http_desk() as desk:
        lab = night(webhook=webhook(desk))
        desk.status = 500
        lab.judge(SLIDES[0])
        lab.pass_by()
        kept = json.loads((lab.settings.storage.root / "told.json").read_text())
        lab.start()
        desk.status = 200
        lab.pass_by()
        assert desk.tables[0]["id"] == kept["boxes"]["webhook"]["message"]["message_id"]


def test_quiet_hours_pass_and_one_message_says_what_is_left(night: Callable[..., Night]) -> None:
    with http_desk() as desk:
        lab = night(webhook=webhook(desk), quiet_hours="00:00-07:00")
        lab.now = 1_790_035_200.0 + 3600  # one o'clock, UTC
        lab.judge(SLIDES[0])
        lab.judge(SLIDES[1])
        lab.pass_by()
        assert lab.watch.words() == "quiet until 07:00"
        with lab.engine.begin() as connection:
            marked = slides.update().where(slides.c.slide_id == SLIDES[1])
            connection.execute(marked.values(mark=Mark.DONE, marked_at=lab.now))
        lab.start()
        lab.pass_by(3600)
        assert desk.requests == []
        lab.pass_by(6 * 3600)
        (table,) = desk.tables
        assert [notice["slide"] for notice in table["notices"]] == [SLIDES[0]]
        assert (table["after_quiet_hours"], table["settled_meanwhile"]) == (True, 1)


def test_no_identity_leaves_by_a_notice(
    night: Callable[..., Night], tmp_path: Path, keys: Certificates
) -> None:
    """A canary stands in every text of the journal that an operator or a daemon could write."""
    canary = "CANARY-Meier-Anna"
    with http_desk() as desk, mail_post(keys) as post:
        lab = night(webhook=webhook(desk), email=email(post, tmp_path, keys))
        lab.judge(SLIDES[0], reason=f"{canary} {REASON} {canary}")
        lab.judge(SLIDES[1], Verdict.ACCEPT)
        lab.journal.operate("set_aside", SLIDES[1], operator=canary, reason=f"Slide of {canary}.")
        lab.journal.add_slide(canary, scanner=canary, last_byte_at=lab.now)
        lab.journal.reject(canary, actor=canary, error=RejectedError(canary))
        row = {"error": canary, "error_code": canary, "next_step": canary, "words": canary}
        with lab.engine.begin() as connection:
            connection.execute(slides.update().where(slides.c.slide_id == canary).values(**row))
            connection.execute(
                parcels.insert().values(
                    parcel_id=canary,
                    route=canary,
                    kind=canary[:16],
                    folder=canary,
                    slide_id=None,
                    state="aside",
                    attempts=1,
                    retries=1,
                    error=canary,
                    created_at=0.0,
                    updated_at=0.0,
                )
            )
        lab.journal.heartbeat(canary, pid=1, words=canary)
        lab.pass_by()
        sent = b"".join(body for _, body in desk.requests) + post.raw
        codes = {notice["code"] for notice in desk.told}
        stored = json.dumps([str(event) for event in lab.journal.board.events()])
    assert canary in stored, "the journal does hold it here"
    assert codes == {"rescan", "error"}
    assert len(post.letters) == 1
    assert b"canary" not in sent.lower()
    assert b"meier" not in sent.lower()


def test_odd_rows_of_the_journal_keep_nobody_from_being_told(night: Callable[..., Night]) -> None:
    """SQLite keeps any value in any column, and each daemon may write."""
    with http_desk() as desk:
        lab = night(webhook=webhook(desk))
        for number, changes in enumerate(
            ({"updated_at": "x"}, {"state": "zzz"}, {"reason": b"x"}, {"updated_at": -1e400}, {})
        ):
            slide_id = f"{SLIDES[0][:-1]}{number + 2}"
            lab.judge(slide_id)
            with lab.engine.begin() as connection:
                for name, value in changes.items():
                    connection.exec_driver_sql(
                        f"UPDATE slide SET {name} = ? WHERE slide_id = ?",  # noqa: S608
                        (value, slide_id),
                    )
        with lab.engine.begin() as connection:
            for number, (route, at) in enumerate(((b"x", 0), ("pacs", -1e400), ("stow", "x"))):
                connection.exec_driver_sql(
                    "INSERT INTO parcel (parcel_id, route, kind, folder, state, attempts, retries,"
                    " created_at, updated_at) VALUES (?, ?, 'tiles', 'x', 'waiting', 1, 9, ?, ?)",
                    (f"p{number}", route, at, at),
                )
            connection.exec_driver_sql(
                "INSERT INTO heartbeat (daemon, at, pid, words) VALUES ('infer', 'x', 'y', x'00')"
            )
        lab.watch.step()
        lab.messengers[0].step()
        assert slides_told(desk) == [f"{SLIDES[0][:-1]}6"]


def test_a_journal_that_does_not_answer_is_told(
    night: Callable[..., Night], monkeypatch: pytest.MonkeyPatch
) -> None:
    with http_desk() as desk:
        lab = night(webhook=webhook(desk))
        lab.judge(SLIDES[0])
        lab.pass_by()
        with lab.engine.begin() as connection:
            for table in (events, heartbeats):
                assert connection.execute(table.select()).first() is not None
        with lab.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE slide RENAME TO hidden")
        lab.now += 300
        lab.watch.step()
        lab.messengers[0].step()
        assert [notice["code"] for notice in desk.told] == ["rescan", "journal-silent"]


def test_the_daemon_runs_beside_the_others_and_remembers(tmp_path: Path) -> None:
    with http_desk() as desk:
        settings = settings_of(tmp_path, webhook=webhook(desk), tell=["rescan"])
        file = tmp_path / "coverslip.toml"
        file.write_text(
            f"""
            [storage]
            root = "{settings.storage.root}"
            [keys]
            folder = "{settings.keys.folder}"
            [notices]
            addresses = ["127.0.0.0/8"]
            gather_s = 0
            tell = ["rescan"]
            webhook = {{ url = "http://127.0.0.1:{desk.port}/" }}
            """
        )
        assert daemon_commands(settings)["notify"] == ("notify",)
        lab = Night(settings)
        lab.now = time.time()
        lab.judge(SLIDES[0])
        supervisor = Supervisor(settings_file=file, quiet=True)
        try:
            supervisor.start("notify", ("notify",))
            wait_until(lambda: slides_told(desk) == [SLIDES[0]], limit_s=30)
            supervisor.process("notify").kill()
            supervisor.process("notify").wait()
            lab.judge(SLIDES[1])
            supervisor.start("notify", ("notify",))
            # Killed before it could write that the first had arrived, it sends a copy of that.
            wait_until(lambda: set(slides_told(desk)) == set(SLIDES), limit_s=30)
            assert len({table["id"] for table in desk.tables}) == 2
            (beat,) = (one for one in lab.journal.board.heartbeats() if one.daemon == "notify")
            assert beat.words == "webhook"
        finally:
            supervisor.stop()
            lab.engine.dispose()
