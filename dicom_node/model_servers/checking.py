"""Whether a server fits what the settings say of it, and whether an answer can be the answer."""

import hashlib
import math
import tomllib
from dataclasses import dataclass
from typing import Final

import numpy as np

from appliance.errors import ConfigError
from appliance.settings import ColouredTiles, EveryTile, RemoteModel, Route
from dicom_node.model_servers.faults import Faults
from dicom_node.model_servers.words import Metadata, Question, Reply, Tensor, Values

_ANY: Final = -1
_DTYPE: Final = np.dtype("<f4")
_TOLERANCE: Final = 0.019
"""Of a probability and of the sum over the classes. Infer allows 0.02 and leaves a whole slide's
answers out beyond it: what passes here never fails there for a rounding."""
_ROUND_IT_BYTES: Final = 2**16
"""For the names, types and shapes around an answer, and for a model's metadata."""
_RANKS: Final = (2, 4)
"""`(n, classes)`, and `(n, rows, columns, classes)`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the servers of a route have to fit.

    Attributes
    ----------
    model
        How they are asked.
    side_px
        Side of the tiles.
    n_classes
        Values of each answer, of a tile or of each pixel of its map.
    """

    model: RemoteModel
    side_px: int
    n_classes: int

    @classmethod
    def of(cls, route: Route) -> "Terms":
        """Read the terms off a route and its `model.toml`.

        Raises
        ------
        ConfigError
            That file is missing, or is not the one that the settings pin.
        """
        policy, model = route.policy, route.model
        if model is None or not isinstance(policy, ColouredTiles | EveryTile):
            raise ConfigError(f"The route {route.name} has no model or no plan for tiles.")
        side_px = policy.tile_px if isinstance(policy, EveryTile) else policy.crop_px
        return cls(model=model, side_px=side_px, n_classes=_n_classes(model))

    @property
    def most_answer_bytes(self) -> int:
        """No answer to one request makes sense that is longer; a liar's is not read to its end."""
        n_values = self.model.batch * self.side_px**2 * self.n_classes
        return n_values * _DTYPE.itemsize + _ROUND_IT_BYTES

    def check_metadata(self, said: Metadata, faults: Faults) -> None:
        """Check what a server says of its model; raises ServerUnfit."""
        model = self.model
        taken = next((one for one in said.inputs if one.name == model.input), None)
        if taken is None or len(said.inputs) != 1:
            raise faults.mismatched("model.input is not the name of its one input")
        if taken.datatype != "UINT8":
            raise faults.mismatched("its input is not of the type UINT8")
        side = self.side_px
        if not _fits(taken.shape, ((_batch_of(taken, model.batch),), (side,), (side,), (3,))):
            raise faults.mismatched(f"its input is not of the shape (n, {side}, {side}, 3)")
        given = next((one for one in said.outputs if one.name == model.output), None)
        if given is None:
            raise faults.mismatched("model.output is not the name of an output")
        if given.datatype != "FP32":
            raise faults.mismatched("its output is not of the type FP32")
        if len(given.shape) not in _RANKS or given.shape[-1] not in (_ANY, self.n_classes):
            raise faults.mismatched(f"its output is not one of {self.n_classes} classes")

    def checked(self, reply: Reply, question: Question, faults: Faults) -> Values:
        """Check an answer, and give its values `(n, ...)` float32.

        Raises
        ------
        ServerLied
            It answers another request, or is of another name, type, length or shape than was asked
            for, or holds what is no number, or no probabilities of the classes.
        """
        if reply.request_id != question.request_id:
            raise faults.lied("it answered another request than ours")
        named = dict(zip((one.name for one in reply.outputs), reply.contents, strict=False))
        given = next((one for one in reply.outputs if one.name == self.model.output), None)
        if given is None or given.datatype != "FP32" or given.name not in named:
            raise faults.lied("its answer lacks the output of the settings as FP32")
        shape, content = given.shape, named[given.name]
        if not self._is_shape(shape, len(question.tiles)):
            raise faults.lied("its answer is of another shape than was asked for")
        if len(content) != math.prod(shape) * _DTYPE.itemsize:
            raise faults.lied("its answer is not as long as it says")
        values = np.frombuffer(content, _DTYPE).reshape(shape)
        if not np.isfinite(values).all():
            raise faults.lied("its answer holds what is no number")
        if not _are_probabilities(values):
            raise faults.lied("its answer holds no probabilities of the classes")
        return np.asarray(values, np.float32)

    def _is_shape(self, shape: tuple[int, ...], n_tiles: int) -> bool:
        if len(shape) not in _RANKS or shape[0] != n_tiles or shape[-1] != self.n_classes:
            return False
        return all(1 <= length <= self.side_px for length in shape[1:-1])


def _are_probabilities(values: Values) -> bool:
    """Whether finite values `(..., classes)` are probabilities that add up to one."""
    within = values.min() >= -_TOLERANCE and values.max() <= 1 + _TOLERANCE
    sums = values.sum(axis=-1, dtype=np.float64)
    return bool(within and np.abs(sums - 1).max() <= _TOLERANCE)


def _fits(shape: tuple[int, ...], allowed: tuple[tuple[int, ...], ...]) -> bool:
    return len(shape) == len(allowed) and all(
        length in (_ANY, *lengths) for length, lengths in zip(shape, allowed, strict=True)
    )


def _batch_of(taken: Tensor, batch: int) -> int:
    """Give the one fixed batch that can be served: a single tile."""
    return 1 if batch == 1 and taken.shape[:1] == (1,) else _ANY


def _n_classes(model: RemoteModel) -> int:
    """Read what the classes are; infer reads the rest of it."""
    path = model.folder / "model.toml"
    try:
        content = path.read_bytes()
        classes = tomllib.loads(content.decode()).get("classes")
    except (OSError, ValueError) as error:
        raise ConfigError(f"model.folder: {path} is missing or is no model's.") from error
    if f"sha256:{hashlib.sha256(content).hexdigest()}" != model.digest:
        raise ConfigError(f"model.digest: {path} is another than the settings pin.")
    if not isinstance(classes, list) or not classes:
        raise ConfigError(f"model.folder: {path} names no classes.")
    return len(classes)
