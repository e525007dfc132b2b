"""The one door to scikit-learn."""

from typing import Protocol

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans
from sklearn.ensemble import HistGradientBoostingClassifier

Floats = npt.NDArray[np.float32]


class Trees(Protocol):
    """Boosted trees that were trained."""

    def predict_proba(self, features: Floats, /) -> npt.NDArray[np.float64]:
        """Give `(n, 2)`: how likely each row is no neighbour, and how likely it is one."""


def boosted_trees(features: Floats, is_neighbour: npt.NDArray[np.bool_]) -> Trees:
    """Train on rows `(n, k)`; the same rows give the same trees."""
    trees = HistGradientBoostingClassifier(  # type: ignore[no-untyped-call]  # no types
        max_iter=120,
        learning_rate=0.08,
        max_leaf_nodes=15,
        min_samples_leaf=20,
        class_weight="balanced",
        early_stopping=False,
        random_state=0,
    )
    trained: Trees = trees.fit(features, is_neighbour)
    return trained


def grouped(features: Floats, n_groups: int) -> npt.NDArray[np.int64]:
    """Give the number of the group `(n,)` of each row, by k-means."""
    groups = KMeans(n_clusters=n_groups, n_init=3, random_state=0)  # type: ignore[no-untyped-call]  # no types
    found = groups.fit_predict(features)  # type: ignore[no-untyped-call]  # no types
    return np.asarray(found, dtype=np.int64)
