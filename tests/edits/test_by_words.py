"""Names by words: cases worked by hand."""

import numpy as np
import pytest
from test_edits import make_run

from ruc.edits import Junk, Rename, apply_edits
from ruc.edits.by_words import propose_names
from ruc.errors import InputError

WORDS = ("cat", "dog", "sky")


def renames(run, logits):
    return [edit for one in propose_names(run, WORDS, np.asarray(logits)) for edit in one.renames]


def test_the_likeliest_word_becomes_the_name() -> None:
    logits = np.log([[8, 2, 1], [1, 3, 30], [1, 9, 2]])
    found = propose_names(make_run(), WORDS, logits)
    assert [(one.cluster, one.word, one.next_word) for one in found] == [
        (0, "cat", "dog"),
        (1, "sky", "dog"),
        (2, "dog", "sky"),
    ]
    np.testing.assert_allclose([one.lead for one in found], [4, 10, 4.5])
    named = apply_edits(make_run(), [edit for one in found for edit in one.renames])
    assert named.cluster_names == ("cat", "sky", "dog")


def test_a_word_that_is_hardly_likelier_names_nothing() -> None:
    found = propose_names(make_run(), WORDS, np.log([[1.9, 1, 0.5], [2.1, 1, 0.5], [1, 1, 3]]))
    assert [one.kept for one in found] == ["hardly likelier than dog", "", ""]
    assert renames(make_run(), np.zeros((3, 3))) == []


def test_two_clusters_never_get_one_word() -> None:
    found = propose_names(make_run(), WORDS, np.log([[4, 1, 1], [9, 1, 1], [1, 1, 5]]))
    assert [one.renames for one in found] == [(), (Rename(1, "cat"),), (Rename(2, "sky"),)]
    assert found[0].kept == "cluster 1 is called so"


def test_names_and_junk_stay() -> None:
    run = apply_edits(make_run(), [Rename(0, "Dog"), Junk(1)])
    found = propose_names(run, WORDS, np.log([[9, 1, 1], [9, 1, 1], [1, 9, 1]]))
    assert [(one.cluster, one.kept) for one in found] == [(2, "cluster 0 is called so")]
    assert renames(run, np.log([[9, 1, 1], [9, 1, 1], [9, 1, 1]])) == [Rename(2, "cat")]
    with pytest.raises(InputError, match="all clusters of the run have names"):
        renames(apply_edits(run, [Rename(2, "sky")]), np.zeros((3, 3)))


def test_clusters_nothing_is_known_of_are_left_out() -> None:
    assert renames(make_run(), [[np.nan] * 3, [0, 9, 1], [9, 0, 1]]) == [Rename(1, "dog"), Rename(2, "cat")]


def test_an_endless_lead_is_a_number() -> None:
    found = propose_names(make_run(), WORDS, np.array([[1e6, 0, 0], [0, 1, 5], [0, 5, 1]], float))
    assert np.isfinite(found[0].lead) and found[0].renames


def test_a_number_is_no_word() -> None:
    with pytest.raises(InputError, match="the word '2' is the number of a cluster"):
        propose_names(make_run(), ("cat", "2"), np.zeros((3, 2)))
