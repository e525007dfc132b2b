"""Bearer tokens of scanners (RFC 6750): read once at start, known afterwards by their hash only."""

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.errors import ConfigError
from appliance.settings import Scanner

MINIMUM_CHARACTERS: Final = 32
_CHARACTERS: Final = re.compile(r"[\x21-\x7e]+")
_SCHEME: Final = "bearer"
_OTHERS: Final = 0o077


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """A scanner that may send by STOW-RS."""

    scanner: Scanner
    token_sha256: bytes


def read_senders(scanners: Sequence[Scanner]) -> tuple[Sender, ...]:
    """Read the token files that the settings name.

    Raises
    ------
    ConfigError
        There is none, or one is missing, open to others, short, or the same as another.
    """
    senders = [
        Sender(scanner=one, token_sha256=_sha256(_read(one, one.token_file)))
        for one in scanners
        if one.token_file is not None
    ]
    if not senders:
        raise ConfigError("dicomweb is on, but no scanner has a token_file: nobody could send.")
    if len({one.token_sha256 for one in senders}) != len(senders):
        raise ConfigError("Two scanners have the same token in their token_file.")
    return tuple(senders)


def sender_of(authorization: str, senders: Sequence[Sender]) -> Sender | None:
    """Find whose token a request carries; every token is compared, in constant time.

    Parameters
    ----------
    authorization
        The header's value; empty when there is none.
    senders
        From `read_senders`.
    """
    scheme, _, token = authorization.strip().partition(" ")
    if scheme.lower() != _SCHEME:
        return None
    shown = _sha256(token.strip())
    found = [one for one in senders if hmac.compare_digest(shown, one.token_sha256)]
    return found[0] if found else None


def _read(scanner: Scanner, path: Path) -> str:
    key = f"scanners: token_file of {scanner.name}: {path}"
    try:
        mode = path.stat().st_mode
        token = path.read_text(encoding="ascii").strip()
    except FileNotFoundError as error:
        raise ConfigError(f"{key} does not exist.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{key} cannot be read as text.") from error
    if mode & _OTHERS:
        raise ConfigError(f"{key} is open to other users; set its mode to 0600.")
    if len(token) < MINIMUM_CHARACTERS or not _CHARACTERS.fullmatch(token):
        raise ConfigError(
            f"{key} must hold a token of at least {MINIMUM_CHARACTERS} characters without spaces."
        )
    return token


def _sha256(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", errors="replace")).digest()
