import json
import socket
import threading
from pathlib import Path

import pytest

from appliance.control import AnsweredError, ask
from appliance.errors import PeerUnavailable
from appliance.plain_text import plain


@pytest.mark.parametrize(
    "text", ["Müller & Søn", "café", "组织 病理", "Ελληνικά", "עברית", "🔬 ✓ ▌", "a\u00a0b", ""]
)
def test_what_is_there_to_be_read_stays(text: str):
    assert plain(text) == text


@pytest.mark.parametrize(
    "sign",
    "\x1b\x00\x07\t\n\r\x7f\x85\x9b\u200b\u202e\u2028\u2029\u2066\ufeff\u00ad\U000e0041\ud800",
)
def test_what_a_terminal_obeys_and_what_hides_or_reorders_text_is_a_dot(sign: str):
    assert plain(f"é{sign}b") == "é·b"


def answered(path: Path, line: bytes) -> object:
    """Ask a daemon that says just this."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def speak() -> None:
            with listening.accept()[0] as conversation:
                conversation.recv(1000)
                conversation.sendall(line + b"\n")

        speaking = threading.Thread(target=speak)
        speaking.start()
        try:
            return ask(path, "status", {}, limit_s=5)
        finally:
            speaking.join()


def test_a_daemon_can_bring_neither_escapes_nor_endless_numbers_to_the_screen(tmp_path: Path):
    result = {"words": "a\x1b[2Jb", "names": {"\u202eid": ["S\x9b1", 3, 0.5, True]}}
    said = json.dumps({"result": result | {"at": 17}}).replace(
        "17", "[1e999, NaN, -Infinity, 9e30]"
    )
    assert answered(tmp_path / "s", said.encode()) == {
        "words": "a·[2Jb",
        "names": {"·id": ["S·1", 3, 0.5, True]},
        "at": [None, None, None, None],
    }


def test_a_refusal_is_plain_too(tmp_path: Path):
    said = {"error": "No\x1b]52;c;\x07.", "code": "err\nor", "next_step": "\u202eWait."}
    with pytest.raises(AnsweredError) as caught:
        answered(tmp_path / "s", json.dumps(said).encode())
    assert caught.value.told() == {
        "sentence": "No·]52;c;·.",
        "code": "err·or",
        "next_step": "·Wait.",
    }


@pytest.mark.parametrize(
    "line", [b"[]", b"17", b'"error"', b'{"result": 5}', b'{"error": "x"}', b"[" * 100_000, b"\xff"]
)
def test_an_answer_of_another_form_is_none(tmp_path: Path, line: bytes):
    with pytest.raises(PeerUnavailable):
        answered(tmp_path / "s", line)
