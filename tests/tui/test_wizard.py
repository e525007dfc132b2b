"""The first run: through every step by keyboard, to a file that loads, keys, and a real C-ECHO."""

import argparse
import asyncio
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from appliance.errors import StorageFull
from appliance.settings import load
from appliance.temporary import free_ports
from tui.commands import NoTerminal, run_setup
from tui.wizard import disk, document, proof
from tui.wizard import questions as ask
from tui.wizard.answering import mistakes_in, plain, wrong_at
from tui.wizard.app import SetupApp
from tui.wizard.document import PinnedModel

LIMIT_S = 20.0
NOW = 1_790_000_000.0
MODELS = (
    PinnedModel(name="tissue", version="1", folder="bundled:tissue", digest=f"sha256:{'0' * 64}"),
)


def answered(tmp_path: Path, **changes: str) -> dict[str, str]:
    """Answers to all questions, with others by id (dots as two underscores)."""
    app = SetupApp(tmp_path / "coverslip.toml", MODELS)
    answers = dict(app.answers)
    answers |= {ask.ROOT: str(tmp_path / "line"), "scanners.0.addresses": "10.0.5.0/24"}
    return answers | {key.replace("__", "."): value for key, value in changes.items()}


def test_the_defaults_need_only_a_scanner_and_a_pacs(tmp_path: Path) -> None:
    answers = answered(tmp_path, pacs__host="127.0.0.1", pacs__port="104")
    path = tmp_path / "coverslip.toml"
    path.write_text(document.write(answers, MODELS, now=NOW))
    settings = load(path)
    assert settings.scanners[0].ae_title == "SCANNER1"
    assert settings.route("pacs").peer is not None
    assert settings.inference.models[0].digest == MODELS[0].digest
    assert "# anyone else is rejected" in path.read_text()


def test_without_a_pacs_and_without_a_scanner_there_is_none(tmp_path: Path) -> None:
    answers = answered(tmp_path, scanners__0__name="")
    path = tmp_path / "coverslip.toml"
    path.write_text(document.write(answers, MODELS, now=NOW))
    assert load(path).scanners == ()
    assert load(path).routes == ()


@pytest.mark.parametrize(
    ("question", "answer", "sentence"),
    [
        ("node.port", "elf", "A whole number is expected."),
        ("node.port", "70000", "It may be at most 65535."),
        ("node.ae_title", "a title that is too long", "It may have at most 16 characters."),
        ("scanners.0.name", "Scanner A", "Small letters, digits and dashes are expected"),
        ("scanners.0.addresses", "10.0.0.300", "An address or a range is expected"),
        ("scanners.0.addresses", "", "The list may not be empty."),
        ("node.ae_title", "", "It may not be empty."),
        ("storage.soft", "nan", "A number is expected."),
        ("pacs.host", "10.0.1.9", "The route is in clear text: it needs tls, or a waiver"),
        ("pacs.host", "pacs.hospital.example", "An address or a range is expected"),
        ("inference.device", "gup", "Auto, cpu or gpu is expected; did you mean gpu?"),
    ],
)
def test_what_is_wrong_is_said_as_check_config_says_it(
    tmp_path: Path, question: str, answer: str, sentence: str
) -> None:
    wrong = mistakes_in(answered(tmp_path) | {question: answer}, MODELS, now=NOW)
    assert plain(wrong[0]).startswith(sentence)


@pytest.mark.parametrize("text", ['"', "\\", "a\nb", "\x1f", "é", "\x7f", "]\n[keys", "'''"])
def test_no_answer_can_break_out_of_its_string(tmp_path: Path, text: str) -> None:
    answers = answered(tmp_path, pacs__host="127.0.0.1", pacs__waiver=f"long enough {text} words")
    path = tmp_path / "coverslip.toml"
    path.write_text(document.write(answers, MODELS, now=NOW))
    assert load(path).route("pacs").waiver == f"long enough {text} words"


def test_mistakes_are_at_the_scanner_that_was_asked_for(tmp_path: Path) -> None:
    answers = answered(
        tmp_path,
        scanners__0__name="",
        scanners__1__name="b",
        scanners__1__ae_title="B",
        scanners__1__addresses="nowhere",
    )
    (mistake,) = mistakes_in(answers, MODELS, now=NOW)
    assert mistake.place[:3] == ("scanners", 1, "addresses")


def test_limits_of_free_space_suit_the_disk() -> None:
    assert disk.limits_for(2000 * disk.GIB) == (50, 10)
    soft, hard = disk.limits_for(60 * disk.GIB)
    assert 60 > soft > hard >= 1


# On the screen.


def seen(app: SetupApp) -> str:
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


async def sees(pilot: Pilot[list[str]], text: str) -> None:
    app = pilot.app
    assert isinstance(app, SetupApp)
    end = time.monotonic() + LIMIT_S
    while text not in seen(app):
        assert time.monotonic() < end, f"not within {LIMIT_S} s: {text!r} in\n{seen(app)}"
        await pilot.pause(0.02)


async def fill(pilot: Pilot[list[str]], **answers: str) -> None:
    """Put answers into fields that are on the screen, over what they hold."""
    for question, answer in answers.items():
        field = pilot.app.screen.query_one(f"#q-{question.replace('__', '-')}", Input)
        field.focus()
        field.value = answer
    await pilot.pause()


def drive(app: SetupApp, script: Callable[[Pilot[list[str]]], Awaitable[None]]) -> None:
    async def run() -> None:
        async with app.run_test(size=(80, 24)) as pilot:
            await script(pilot)

    asyncio.run(run())


@contextmanager
def storescp(program: str, folder: Path) -> Iterator[int]:
    """Run DCMTK's storescp, which answers C-ECHO."""
    (port,) = free_ports(1)
    command = [program, "-aet", "PACS", "-od", str(folder), str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as scp:
        try:
            end = time.monotonic() + LIMIT_S
            while True:
                with socket.socket() as connection:
                    if connection.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert time.monotonic() < end, "storescp does not listen"
            yield port
        finally:
            scp.kill()


async def machine(pilot: Pilot[list[str]], root: Path) -> None:
    """Answer what is asked about file, storage and node."""
    await sees(pilot, "1 of 9: The settings file")
    await sees(pilot, "coverslip.toml.until-")
    await pilot.press("enter")
    await sees(pilot, "GiB are free there.")
    await fill(pilot, storage__root=str(root))
    await pilot.press("enter", "enter", "enter", "enter")
    await sees(pilot, "3 of 9: This node")
    await fill(pilot, node__port="elf")
    await pilot.press("f2")
    await sees(pilot, "✕ A whole number is expected.")
    await fill(pilot, node__port="11112", node__host="127.0.0.1")
    await pilot.press("enter")


async def peers(pilot: Pilot[list[str]], port: int) -> None:
    """Answer what is asked about two scanners and the PACS, and prove the PACS."""
    await sees(pilot, "4 of 9: Scanners")
    await fill(pilot, scanners__0__addresses="10.0.5.20, 10.0.6.0/24")
    await pilot.press("f4")
    await pilot.press(*"two", "enter", *"SCANNER2", "enter", *"10.0.7.1", "enter")
    await sees(pilot, "5 of 9: PACS")
    await pilot.press("f5")
    await sees(pilot, "Enter the host of the PACS first.")
    await fill(pilot, pacs__host="10.0.1.9")
    await pilot.press("f2")
    await sees(pilot, "✕ The route is in clear text: it needs tls")
    await fill(pilot, pacs__host="127.0.0.1", pacs__port="1")
    await pilot.press("f5")
    await sees(pilot, "✕ C-ECHO to PACS:")
    await fill(pilot, pacs__port=str(port))
    await pilot.press("f2")


async def rest(pilot: Pilot[list[str]], file: Path) -> None:
    """Go on to the end, with one step back on the way."""
    await sees(pilot, "6 of 9: Models")
    await sees(pilot, "Does not run unless named: metastasis")
    await pilot.press("enter", *"metastasi", "enter")
    await sees(pilot, "✕ There is no metastasi; did you mean metastasis?")
    await pilot.press("s", "enter")
    await sees(pilot, "groupadd coverslip-viewer")
    await pilot.press("escape")
    await sees(pilot, "6 of 9: Models")
    await pilot.press("f2")
    await sees(pilot, "7 of 9: Operators")
    await pilot.press("f2")
    await sees(pilot, "[storage]")
    assert content(file) == "an older one", "nothing is written before the last step"
    await pilot.press("enter")
    await sees(pilot, "What to do next")
    await sees(pilot, "✓ The keys: Made in")
    await sees(pilot, "✓ C-ECHO to PACS: PACS answers in")
    await pilot.press("enter")
    await pilot.pause()


def content(file: Path) -> str:
    return file.read_text()


def test_from_the_first_question_to_a_pacs_that_answers(
    tmp_path: Path, require_tool: Callable[[str], str]
) -> None:
    file = tmp_path / "etc" / "coverslip.toml"
    file.parent.mkdir()
    file.write_text("an older one")
    app = SetupApp(file, proof.models())

    async def script(pilot: Pilot[list[str]], port: int) -> None:
        await machine(pilot, tmp_path / "line")
        await peers(pilot, port)
        await rest(pilot, file)

    with storescp(require_tool("storescp"), tmp_path) as port:
        drive(app, lambda pilot: script(pilot, port))
    settings = load(file)
    assert [one.name for one in settings.scanners] == ["scanner-1", "two"]
    assert str(settings.scanners[0].addresses[0]) == "10.0.5.20/32"
    assert settings.route("pacs").peer is not None
    assert len(settings.inference.models) == 3
    assert settings.storage.root == tmp_path / "line"
    assert (file.parent / "keys" / "vault.key").stat().st_mode & 0o777 == 0o600
    (kept,) = file.parent.glob("coverslip.toml.until-*")
    assert content(kept) == "an older one"
    assert any("coverslip --settings" in line and "tui" in line for line in app.return_value or ())


def test_it_can_be_left_at_once_and_then_nothing_is_written(tmp_path: Path) -> None:
    file = tmp_path / "coverslip.toml"
    app = SetupApp(file, MODELS)

    async def script(pilot: Pilot[list[str]]) -> None:
        await sees(pilot, "1 of 9")
        await pilot.press("escape")
        await sees(pilot, "Leave without writing anything?")
        await pilot.press("n")
        await sees(pilot, "1 of 9")
        await pilot.press("escape", "y")

    drive(app, script)
    assert app.return_value is None
    assert list(tmp_path.iterdir()) == []


def test_keys_that_are_there_stay_and_a_place_that_cannot_be_written_is_said(
    tmp_path: Path,
) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / proof.ONE_KEY).write_text("old")
    assert proof.make_keys(keys).worked
    assert [path.name for path in keys.iterdir()] == [proof.ONE_KEY]
    (tmp_path / "a-file").write_text("")
    assert not proof.is_writable(tmp_path / "a-file" / "coverslip.toml")
    assert not proof.write_settings(tmp_path / "a-file" / "x.toml", "", now=NOW).worked


def test_a_field_without_an_answer_says_what_belongs_there(tmp_path: Path) -> None:
    app = SetupApp(tmp_path / "coverslip.toml", MODELS)
    scanners = next(step for step in app.steps if step.id == "scanners")
    wrong = wrong_at(scanners, app.answers, MODELS, now=NOW)
    assert wrong["scanners.0.addresses"].startswith("Say at least one address")


def test_a_port_that_something_listens_on_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = str(listening.getsockname()[1])
        assert not proof.is_free("127.0.0.1", port)
    assert proof.is_free("127.0.0.1", "elf")
    assert proof.is_free("not an address", "11112")
    assert proof.is_free("ä" * 64, "11112")


def test_without_a_terminal_it_says_so_and_writes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "coverslip.toml"
    with pytest.raises(NoTerminal):
        run_setup(argparse.Namespace(settings=file))
    assert not file.exists()


def test_settings_that_cannot_be_replaced_stay_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "coverslip.toml"
    file.write_text("an older one")

    def full(*_: object, **__: object) -> None:
        raise StorageFull("The disk of the appliance is full.")

    monkeypatch.setattr(proof, "write_durably", full)
    result = proof.write_settings(file, "a new one", now=NOW)
    assert not result.worked
    assert "as it was" in result.sentence
    assert {path.name: content(path) for path in tmp_path.iterdir()} == {file.name: "an older one"}
