"""Several embeddings as one matrix, and back."""

import numpy as np
import pytest

from ruc.errors import InputError
from ruc.side_by_side import columns, join, part, short_names, split_names


def unit(n_features, seed):
    rows = np.random.default_rng(seed).normal(size=(6, n_features)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_a_cosine_of_joined_rows_is_the_mean_of_the_cosines():
    one, other = unit(3, 0), unit(7, 1)
    joined = join([one, other])
    np.testing.assert_allclose(joined @ joined.T, (one @ one.T + other @ other.T) / 2, atol=1e-6)
    assert join([one]) is one


def test_each_is_found_again():
    one, other = unit(3, 0), unit(7, 1)
    where = columns({"one": 3, "other": 7})
    assert list(where) == ["one", "other"]
    np.testing.assert_allclose(part(join([one, other]), where["one"]), one, atol=1e-6)
    np.testing.assert_allclose(part(join([one, other]), where["other"]), other, atol=1e-6)


def test_names_are_joined_by_plus_but_a_path_is_one_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a+b").mkdir()
    assert split_names("lite0+lite2") == ("lite0", "lite2")
    assert split_names("a+b") == ("a+b",)
    assert split_names("lite0") == ("lite0",)
    with pytest.raises(InputError, match=r"joined by \+, such as lite0\+lite2"):
        split_names("lite0+")


def test_names_become_names_of_files():
    given = ["lite0", "facebook/dinov2-small", "f-2.npy", "old/f.npy", "new/f.npy", "."]
    assert short_names(given) == ("lite0", "dinov2-small", "f-2", "f", "f-3", "embedding")
