"""No route of coloured tiles is used before the attack has measured its plan."""

from appliance.certificate import check_certified
from appliance.settings import Settings, credential
from appliance.trust import read_sign_publics


def check_routes(settings: Settings, *, now: float) -> None:
    """See that every route of coloured tiles has a certificate that holds.

    Parameters
    ----------
    settings
        Routes, and the folder of keys.
    now
        Seconds since the epoch, for signing keys whose time has run out.

    Raises
    ------
    ConfigError
        One has none, or its plan does not hold.
    """
    if settings.tile_plans:
        public_keys = read_sign_publics(credential(settings.keys.folder / "sign.pub"), now=now)
        check_certified(settings.tile_plans, settings.keys.folder, public_keys)
