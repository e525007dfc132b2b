"""The bearer token that we show to a service (RFC 6750), read anew whenever it is wanted."""

from pathlib import Path

from appliance.errors import ConfigError


def bearer(path: Path, *, setting: str) -> str:
    """Give the value of the Authorization header.

    Parameters
    ----------
    path
        Holds one token in one line.
    setting
        Which one names the file, such as web.token_file.

    Raises
    ------
    ConfigError
        The file cannot be read, or holds something else.
    """
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{setting}: {path} cannot be read.") from error
    if not token or not token.isprintable() or " " in token:
        raise ConfigError(f"{setting}: {path} does not hold one token in one line.")
    return f"Bearer {token}"
