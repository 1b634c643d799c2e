"""Clusters: no worse than their start, none idle, the zero codeword kept, too many refused."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import kmeans_plusplus
from strategies import SEEDS
from tolerances import sum_tolerance

from bitlathe.model.graph.errors import DataError
from bitlathe.model.product.cluster import Clusters, assign, cluster

Sample = tuple[np.ndarray, np.ndarray, int]  # vectors, importance, codewords


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    """Vectors that repeat or are zero now and then, their importance, and how many codewords to make."""
    rng = np.random.default_rng(draw(SEEDS))
    count, length = draw(st.integers(4, 120)), draw(st.integers(1, 6))
    vectors = rng.normal(size=(count, length)) * 20
    vectors[rng.random(count) < draw(st.sampled_from([0, 0.3]))] = 0
    if draw(st.booleans()):
        vectors = vectors[rng.integers(count // 2, size=count)]
    return vectors, rng.random(count) + 0.1, draw(st.integers(2, min(count, 20)))


def clustered(sample: Sample, *, zero: bool = False, iterations: int = 20) -> Clusters:
    vectors, importance, codewords = sample
    return cluster("layer", vectors, importance, codewords, zero=zero, iterations=iterations, seed=0)


def nearest(vectors: np.ndarray, codewords: np.ndarray) -> np.ndarray:
    """Squared distance of each vector to the nearest codeword."""
    return ((vectors[:, None] - codewords) ** 2).sum(axis=2).min(axis=1)


@given(sample=samples())
@settings(max_examples=40)
def test_clusters_are_no_worse_than_the_vectors_that_k_means_starts_from(sample: Sample) -> None:
    vectors, importance, codewords = sample
    starts, _ = kmeans_plusplus(
        vectors, codewords, sample_weight=importance, random_state=np.random.RandomState(0)
    )
    started = float((nearest(vectors, starts) * importance).sum())
    # distances are found as |x|^2 - 2 x c + |c|^2, of which little is left where a codeword is near
    sizes = 4 * float((np.square(vectors).sum(axis=1) * importance).sum())
    near = sum_tolerance(vectors.size + 8, sizes, torch.float64)
    assert clustered(sample, iterations=60).error(vectors, importance) <= started + near


@given(sample=samples(), zero=st.booleans())
@settings(max_examples=40)
def test_every_codeword_has_a_member_and_every_member_the_nearest_codeword(
    sample: Sample, zero: bool
) -> None:
    found = clustered(sample, zero=zero)
    assert len(found.codewords) <= sample[2]
    assert set(found.members) | set(range(zero)) == set(range(len(found.codewords)))
    taken = ((sample[0] - found.codewords[found.members]) ** 2).sum(axis=1)
    size = 4 * float(np.square(sample[0]).sum(axis=1).max())
    near = sum_tolerance(3 * sample[0].shape[1] + 3, size, torch.float64)
    np.testing.assert_allclose(taken, nearest(sample[0], found.codewords), rtol=0, atol=near)


@given(sample=samples())
@settings(max_examples=40)
def test_zero_vectors_take_the_zero_codeword_exactly(sample: Sample) -> None:
    found = clustered(sample, zero=True)
    assert not found.codewords[0].any()
    assert not found.members[~sample[0].any(axis=1)].any()


def test_few_distinct_vectors_become_the_codewords() -> None:
    vectors = np.array([[1.0, 2], [3, 4], [1, 2], [5, 6]] * 5)
    found = clustered((vectors, np.ones(20), 16))
    assert len(found.codewords) == 3
    np.testing.assert_array_equal(found.codewords[found.members], vectors)


def test_an_idle_codeword_becomes_the_worst_served_vector() -> None:
    vectors = np.array([[0.0], [1.0], [10.0]])
    found = assign(vectors, np.array([[0.0], [50.0]]))
    np.testing.assert_array_equal(found.codewords, [[0], [10]])
    np.testing.assert_array_equal(found.members, [0, 0, 1])


def test_equal_seeds_give_equal_clusters() -> None:
    vectors = np.random.default_rng(3).normal(size=(200, 4))
    first, second = (clustered((vectors, np.ones(200), 16)) for _ in range(2))
    np.testing.assert_array_equal(first.codewords, second.codewords)
    np.testing.assert_array_equal(first.members, second.members)


def test_more_codewords_than_vectors_are_refused() -> None:
    with pytest.raises(DataError) as caught:
        clustered((np.zeros((8, 4)), np.ones(8), 9))
    assert str(caught.value) == (
        "layer: 9 codewords for 8 vectors of 4 weights; choose at most 8, or shorter vectors"
    )
