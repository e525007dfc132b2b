"""How slides are judged offline: what of the settings holds for a temporary line, and its keys."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance import __version__
from appliance.errors import ConfigError
from appliance.settings import (
    Deidentify,
    Inference,
    Model,
    Report,
    Settings,
    VerdictRules,
    credential,
    load,
)
from appliance.temporary import bundled_models, free_ports, reads_pixels

RESTORED = "restored"
"""Name of the route that puts the true identity back. Nothing is sent on it: the parcel is taken
from its outbox."""
_QUIET_S = 1.0
_NO_MATTER = {"device", "workers", "model_limit_s"}
"""Settings that change how fast, and not what."""
_PSEUDONYM_KEY = "pseudonym.key"
_KEY_PURPOSE = b"coverslip analyze: which key\n"
_LEASE_S = 10.0
"""Nobody else works on the slides: a daemon that died may be followed up soon."""
_HERE = "127.0.0.0/8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """What decides the results of a slide."""

    deidentify: Deidentify
    inference: Inference
    verdict: VerdictRules
    report: Report
    keys: Path | None
    """Folder of the keys; None makes some for this run only."""
    restore: bool

    def digest(self) -> str:
        """Give the digest of all that changes results, so that a later run knows its own."""
        sections = {
            name: getattr(self, name).model_dump(mode="json", exclude=_NO_MATTER)
            for name in ("deidentify", "inference", "verdict", "report")
        }
        told = json.dumps([sections, self._key_digest(), self.restore, __version__], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()

    def _key_digest(self) -> str:
        """Tell one pseudonym key from another; without keys each run has its own."""
        if self.keys is None:
            return "of the run"
        try:
            key = credential(self.keys / _PSEUDONYM_KEY).read_bytes()
        except OSError as error:
            raise ConfigError("The pseudonym key cannot be read (keys.folder, --keys).") from error
        return hashlib.sha256(_KEY_PURPOSE + key).hexdigest()


def method_of(
    settings_file: Path,
    *,
    keys: Path | None,
    device: str | None,
    workers: int | None,
    restore: bool,
) -> Method:
    """Take the sections that matter from the settings, or the defaults where there is no file.

    Raises
    ------
    ConfigError
        The settings or the folder of the keys cannot be used.
    """
    if keys is not None and not keys.is_dir():
        raise ConfigError("There is no folder of keys there; coverslip keys init makes one.")
    settings = _settings(settings_file)
    asked = {"device": device, "workers": workers}
    inference = (settings.inference if settings else Inference()).model_copy(
        update={name: value for name, value in asked.items() if value is not None}
    )
    if not inference.models:
        pinned = tuple(
            Model(folder=Path(f"bundled:{name}"), digest=digest)
            for name, digest in bundled_models().items()
        )
        inference = inference.model_copy(update={"models": pinned})
    return Method(
        deidentify=_deidentify(settings),
        inference=inference,
        verdict=settings.verdict if settings else VerdictRules(),
        report=settings.report if settings else Report(),
        keys=keys or (settings.keys.folder if settings else None),
        restore=restore,
    )


def _settings(file: Path) -> Settings | None:
    try:
        return load(file) if file.exists() else None
    except PermissionError as error:
        raise ConfigError(
            "The settings file may not be read by this user; name another with --settings."
        ) from error


def settings_text(method: Method, *, root: Path, keys: Path) -> str:
    """Write the settings file of a temporary line."""
    node_port, nobody = free_ports(2)
    tables: dict[str, Any] = {
        "storage": {"root": str(root), "soft_free_gib": 0.5, "hard_free_gib": 0.2},
        "keys": {"folder": str(keys)},
        "journal": {"lease_s": _LEASE_S},
        "node": {"ae_title": "COVERSLIP", "host": "127.0.0.1", "port": node_port},
        "scanners": [
            {"name": "offline", "ae_title": "OFFLINE", "addresses": [_HERE], "quiet_s": _QUIET_S}
        ],
        "deidentify": method.deidentify.model_dump(mode="json"),
        "inference": method.inference.model_dump(mode="json"),
        "verdict": method.verdict.model_dump(mode="json"),
        "report": method.report.model_dump(mode="json"),
    }
    if method.restore:
        tables["routes"] = [_restoring_route(method.report, nobody)]
    return "".join(f"{key} = {_toml(value)}\n" for key, value in tables.items())


def _restoring_route(report: Report, port: int) -> dict[str, Any]:
    wanted = {
        "ANN": report.annotations,
        "heat_map": report.heat_map != "none",
        "one_pager": report.one_pager,
    }
    return {
        "name": RESTORED,
        "recipient": "owner",
        "place": "inside",
        "kind": "dimse",
        "carries": ["SR", "SEG", *(kind for kind, asked in wanted.items() if asked)],
        "addresses": [_HERE],
        "peer": {"ae_title": "NOBODY", "host": "127.0.0.1", "port": port},
    }


def _deidentify(settings: Settings | None) -> Deidentify:
    if settings is not None:
        return settings.deidentify
    return Deidentify() if reads_pixels() else Deidentify(text_in_pixels="off", label="ignore")


def _toml(value: Any) -> str:
    """Write a value as TOML in one line; keys without a value are left out."""
    if isinstance(value, dict):
        pairs = (
            f"{json.dumps(str(key), ensure_ascii=False)} = {_toml(one)}"
            for key, one in value.items()
            if one is not None
        )
        return "{ " + ", ".join(pairs) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
