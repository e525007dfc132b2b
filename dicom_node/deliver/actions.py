"""What an operator may ask of a deliver daemon: to try parcels again that were given up."""

from collections.abc import Mapping
from typing import Any

from appliance.control import Command, Operator
from appliance.errors import ForbiddenAction
from appliance.line import Role
from appliance.stores.journal import Journal


def delivery_actions(journal: Journal, route: str) -> dict[str, Command]:
    """Give the actions of the deliver daemon of one route."""

    def retry(operator: Operator, arguments: Mapping[str, Any]) -> dict[str, Any]:
        parcel_id = str(arguments.get("parcel_id", ""))
        n_parcels = journal.parcels.retry(route, parcel_id, operator=operator.name)
        if parcel_id and not n_parcels:
            raise ForbiddenAction("This parcel is not waiting and not set aside on this route.")
        words = f"Route {route} tries again now what waited or was refused: parcels {n_parcels}."
        return {"parcels": n_parcels, "words": words}

    return {"retry_parcel": Command(role=Role.TECHNICIAN, run=retry)}
