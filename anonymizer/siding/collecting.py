"""Take answers out of `answers/` into the vault, as far as they are about what was asked.

A daemon that speaks to the outside wrote them, and any daemon can write the journal that names
them. So a folder counts only when release made the parcel, for this route; and of it only what
is about tiles that release asked about.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from appliance.answers import Answers, read_answers
from appliance.errors import IdentityDoubt, RejectedError
from appliance.manifest import Manifest
from appliance.settings import Route
from appliance.storage import Root, plain_folder
from appliance.stores.parcels import AnsweredParcel
from appliance.stores.vault import Vault
from appliance.stores.vault_asked import Kept

_MAPS_RANK: Final = 4


def collect(
    answered: AnsweredParcel,
    *,
    root: Root,
    routes: Mapping[str, Route],
    vault: Vault,
    now: float,
) -> Kept:
    """Keep the answers to one parcel in the vault; the same ones twice change nothing.

    Raises
    ------
    RejectedError
        They are not believed, and nothing of them was kept.
    """
    if answered.route not in routes:
        raise RejectedError("The journal names answers of a route that asks no model servers.")
    _check_parcel(answered, vault)
    answers = _read(answered, root)
    if (answers.parcel_id, answers.route) != (answered.parcel_id, answered.route):
        raise RejectedError("The answers are to another parcel than the journal says.")
    shape = _shape_of(answers)
    values = dict(zip(answers.tile_ids, (one.tobytes() for one in answers.values), strict=True))
    return vault.asked.keep(answered.route, values, shape=shape, now=now)


def _check_parcel(answered: AnsweredParcel, vault: Vault) -> None:
    kept = vault.manifest(answered.parcel_id)
    if kept is None or Manifest.from_bytes(kept).route != answered.route:
        raise RejectedError("The journal names answers to a parcel that never left on its route.")


def _read(answered: AnsweredParcel, root: Root) -> Answers:
    try:
        name = plain_folder(answered.folder, answered.parcel_id)
    except IdentityDoubt as error:
        raise RejectedError("The journal names a folder that is not this parcel's.") from error
    # Not by Root.answers, which makes the folder: it is the deliverer's.
    return read_answers(root.path / "answers" / answered.route / Path(name))


def _shape_of(answers: Answers) -> tuple[int, ...]:
    if answers.values.ndim == _MAPS_RANK and answers.values.shape[1] != answers.values.shape[2]:
        raise RejectedError("Model servers answered with maps that are not square, as tiles are.")
    return tuple(int(size) for size in answers.values.shape[1:])
