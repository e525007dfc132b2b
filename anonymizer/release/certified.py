"""No route of coloured tiles is used before the attack has measured its plan."""

from appliance.certificate import check_certified
from appliance.settings import ColouredTiles, Settings, credential
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
    plans = {
        route.name: route.policy.plan_digest
        for route in settings.routes
        if isinstance(route.policy, ColouredTiles)
    }
    if plans:
        public_keys = read_sign_publics(credential(settings.keys.folder / "sign.pub"), now=now)
        check_certified(plans, settings.keys.folder, public_keys)
