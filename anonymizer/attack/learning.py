"""The one door to scikit-learn, which runs on one core here.

Its threads wait for each other by spinning: on a machine with other work to do, two of them take
ten times as long as one.
"""

from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

Floats = npt.NDArray[np.float32]


class Trees(Protocol):
    """Boosted trees that were trained."""

    def predict_proba(self, features: Floats, /) -> npt.NDArray[np.float64]:
        """Give `(n, 2)`: how likely each row is no neighbour, and how likely it is one."""


def boosted_trees(features: Floats, is_neighbour: npt.NDArray[np.bool_]) -> Trees:
    """Train on rows `(n, k)`; the same rows give the same trees."""
    trees = HistGradientBoostingClassifier(  # type: ignore[no-untyped-call]  # no types
        max_iter=80,
        learning_rate=0.1,
        max_leaf_nodes=15,
        max_bins=63,
        min_samples_leaf=20,
        class_weight="balanced",
        early_stopping=False,
        random_state=0,
    )
    with _one_core():
        trained: Trees = trees.fit(features, is_neighbour)
    return trained


def likely(trees: Trees, features: Floats) -> Floats:
    """Give how likely `(n,)` each row is a neighbour."""
    with _one_core():
        return np.asarray(trees.predict_proba(features)[:, 1], dtype=np.float32)


def grouped(features: Floats, n_groups: int) -> npt.NDArray[np.int64]:
    """Give the number of the group `(n,)` of each row, by k-means."""
    groups = KMeans(n_clusters=n_groups, n_init=3, random_state=0)  # type: ignore[no-untyped-call]  # no types
    with _one_core():
        found = groups.fit_predict(features)  # type: ignore[no-untyped-call]  # no types
    return np.asarray(found, dtype=np.int64)


def _one_core() -> AbstractContextManager[object]:
    limits: AbstractContextManager[object] = threadpool_limits(1)  # type: ignore[no-untyped-call]  # no types
    return limits
