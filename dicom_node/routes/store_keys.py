"""Keys of an object store: from a TOML file, never from the environment or the command line."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from appliance.errors import ConfigError

_OTHERS: Final = 0o007
"""The bits of a group stay out of it: where systemd hands a file over, they are those of an ACL."""
KEYS: Final[Mapping[str, frozenset[str]]] = {
    "s3": frozenset({"access_key_id", "secret_access_key", "session_token"}),
    "gs": frozenset({"service_account_key"}),
    "az": frozenset({"account_name", "account_key", "sas_token"}),
}
"""By scheme of the store's URL: what its credentials file may hold."""
_NEEDED: Final[Mapping[str, tuple[frozenset[str], ...]]] = {
    "s3": (frozenset({"access_key_id"}), frozenset({"secret_access_key"})),
    "gs": (frozenset({"service_account_key"}),),
    "az": (frozenset({"account_name"}), frozenset({"account_key", "sas_token"})),
}
"""One of each set has to be there."""


def read_keys(path: Path, scheme: str) -> dict[str, str]:
    """Read the credentials file of a route.

    Raises
    ------
    ConfigError
        It is missing, open to other users, or does not hold what this kind of store asks for.
    """
    name = f"store.credentials_file: {path}"
    try:
        mode = path.stat().st_mode
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{name} does not exist.") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        # Without its cause: a message about a line of TOML may hold the key.
        raise ConfigError(f"{name} cannot be read as TOML.") from None
    if mode & _OTHERS:
        raise ConfigError(f"{name} is open to every user; set its mode to 0600.")
    known = ", ".join(sorted(KEYS[scheme]))
    keys = {key: value for key, value in table.items() if isinstance(value, str) and value}
    if len(keys) != len(table) or not keys.keys() <= KEYS[scheme]:
        raise ConfigError(f"{name} may hold only these texts for {scheme}://: {known}.")
    if not all(one & keys.keys() for one in _NEEDED[scheme]):
        raise ConfigError(f"{name} lacks keys; for {scheme}:// it may hold {known}.")
    return keys
