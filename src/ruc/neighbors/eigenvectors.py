"""Leading eigenvectors of a graph of neighbours, in one piece or in several."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import ArpackError, eigsh

from ruc.runtime import Runtime

LARGEST_DENSE = 3_000  # samples for which all eigenvectors can be had


def spectral_embedding(
    affinity: sp.csr_array, n_dimensions: int, runtime: Runtime
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Leading eigenvalues and eigenvectors of ``D**-½ W D**-½``, the largest first.

    Each eigenvector's sign is such that its largest entry is positive.

    Returns
    -------
    eigenvalues
        (n_dimensions,), at most 1.
    eigenvectors
        (n_samples, n_dimensions).
    """
    degrees = np.maximum(affinity.sum(axis=1), 1e-12)
    inverse_root = sp.diags_array(1.0 / np.sqrt(degrees))
    normalised = sp.csr_array((inverse_root @ affinity @ inverse_root).astype(np.float64))
    generator = np.random.default_rng(runtime.numpy_seed("eigenvectors"))
    n_parts, part_of = connected_components(normalised, directed=False)
    if n_parts == 1:
        values, vectors = _leading(normalised, n_dimensions, generator)
    else:
        values, vectors = _leading_of_parts(normalised, degrees, part_of, n_dimensions, generator)
    order = np.argsort(-values, kind="stable")[:n_dimensions]
    values, vectors = values[order], vectors[:, order]
    largest = np.abs(vectors).argmax(axis=0)
    return values, vectors * np.sign(vectors[largest, np.arange(vectors.shape[1])])


def _leading(
    normalised: sp.csr_array, n_dimensions: int, generator: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eigenvalues and eigenvectors of a graph in one piece."""
    n_samples = normalised.shape[0]
    if n_dimensions < n_samples - 1:
        start = generator.random(n_samples)
        try:
            # With a looser tolerance close eigenvalues (clusters that hardly touch) are found too seldom.
            values, vectors = eigsh(normalised, k=n_dimensions, which="LA", v0=start, tol=0.0)
            return values, vectors
        except ArpackError:  # no convergence, or stuck on the equal eigenvalues of copies
            if n_samples > LARGEST_DENSE:
                values, vectors = eigsh(normalised, k=n_dimensions, which="LA", v0=start, tol=1e-4)
                return values, vectors
    values, vectors = np.linalg.eigh(normalised.toarray())
    return values[-n_dimensions:], vectors[:, -n_dimensions:]


def _leading_of_parts(
    normalised: sp.csr_array,
    degrees: NDArray[np.floating],
    part_of: NDArray[np.int32],
    n_dimensions: int,
    generator: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The same of a graph in several pieces, found piece by piece: an iteration gets stuck on equal eigenvalues.

    Each piece has the eigenvalue 1 once, and any rotation of these eigenvectors will do. The first is that of all
    degrees, as in one piece; the others are random mixtures, so that few dimensions tell many pieces apart.
    """
    n_samples, n_parts = len(part_of), int(part_of.max()) + 1
    order = np.argsort(part_of, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(part_of))[:-1])
    roots = np.sqrt(degrees.astype(np.float64))
    weights = np.sqrt(np.bincount(part_of, weights=degrees))
    mixture = np.linalg.qr(np.column_stack([weights, generator.normal(size=(n_parts, n_parts - 1))]))[0]
    mixture = mixture[:, :n_dimensions]
    values, columns = [np.ones(mixture.shape[1])], [(roots / weights[part_of])[:, None] * mixture[part_of]]
    if n_parts < n_dimensions:
        for rows in members:
            wanted = min(n_dimensions - n_parts + 1, len(rows))
            inner_values, inner = _leading(normalised[rows][:, rows], wanted, generator)
            later = np.argsort(-inner_values, kind="stable")[1:]
            column = np.zeros((n_samples, len(later)))
            column[rows] = inner[:, later]
            values.append(inner_values[later])
            columns.append(column)
    return np.concatenate(values), np.column_stack(columns)
