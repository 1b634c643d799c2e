"""K-means over the vectors of a layer.

scikit-learn is imported where vectors are clustered: it takes seconds, and every command imports this module.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bitlathe.model.graph.arrays import Floats
from bitlathe.model.graph.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Clusters:
    """Codewords, and which one each vector takes."""

    codewords: Floats  # (codewords, length)
    members: npt.NDArray[np.intp]  # (vectors,)

    def error(self, vectors: Floats, importance: Floats) -> float:
        """Sum of squared distances between vectors and their codewords, weighted by importance (vectors,)."""
        distances = ((vectors - self.codewords[self.members]) ** 2).sum(axis=1)
        return float((distances * importance).sum())


def cluster(
    name: str,
    vectors: Floats,
    importance: Floats,
    codewords: int,
    *,
    zero: bool,
    iterations: int,
    seed: int,
) -> Clusters:
    """At most `codewords` clusters of vectors (vectors, length); only the zero cluster may be empty.

    With `zero`, codeword 0 is zero and stays so. If there are fewer distinct vectors than codewords, they
    become the codewords. Raises DataError, naming the layer, if there are more codewords than vectors.
    Source: k-means++ by Arthur and Vassilvitskii 2007; the rest is scikit-learn's KMeans.
    """
    if codewords > len(vectors):
        raise DataError(
            f"{name}: {codewords} codewords for {len(vectors)} vectors of {vectors.shape[1]} weights; "
            f"choose at most {len(vectors)}, or shorter vectors"
        )
    fixed = np.zeros((int(zero), vectors.shape[1]), vectors.dtype)
    free = vectors.any(axis=1) if zero else np.ones(len(vectors), bool)
    centers = _centers(vectors[free], importance[free], codewords - len(fixed), iterations, seed)
    return _without_idle(assign(vectors, np.concatenate([fixed, centers]), fixed=len(fixed)), len(fixed))


def assign(vectors: Floats, codewords: Floats, *, fixed: int = 0) -> Clusters:
    """Assign each vector to its nearest codeword; unused codewords first become the vectors with most error.

    The first `fixed` codewords keep their values.
    """
    from sklearn.metrics import pairwise_distances_argmin_min

    members, distances = pairwise_distances_argmin_min(vectors, codewords)
    idle = np.setdiff1d(np.arange(fixed, len(codewords)), members)
    worst = np.argsort(-distances, kind="stable")[: len(idle)]
    worst = worst[distances[worst] > 0]
    if not len(worst):
        return Clusters(codewords=codewords, members=members)
    moved = codewords.copy()
    moved[idle[: len(worst)]] = vectors[worst]
    members, _ = pairwise_distances_argmin_min(vectors, moved)
    return Clusters(codewords=moved, members=members)


def _without_idle(clusters: Clusters, fixed: int) -> Clusters:
    used = np.union1d(np.arange(fixed), clusters.members)
    return Clusters(
        codewords=clusters.codewords[used], members=np.searchsorted(used, clusters.members).astype(np.intp)
    )


def _centers(vectors: Floats, importance: Floats, count: int, iterations: int, seed: int) -> Floats:
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    distinct = np.unique(vectors, axis=0)
    if len(distinct) <= count:
        return distinct
    means = KMeans(count, init="k-means++", n_init=1, max_iter=iterations, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # coinciding clusters are separated later
        centers: Floats = means.fit(vectors, sample_weight=importance).cluster_centers_
    return centers
