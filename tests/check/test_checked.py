"""What answers say of a run, and what they do to it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from runs import make_checkable

from ruc.check.checked import (
    ASKED,
    Checked,
    check_answers,
    checked_of,
    with_answers,
    with_lesson,
    without_their_answers,
)
from ruc.edits import Answer, Merge, apply_edits, follow_edits, undo_edits
from ruc.errors import RunFolderError


def test_confidence_becomes_what_was_answered() -> None:
    run, is_right = make_checkable()
    rows = np.random.default_rng(1).permutation(400)[:200]
    checked = check_answers(run, {run.file_names[row]: bool(is_right[row]) for row in rows})
    assert checked is not None
    assert checked.accuracy.low < is_right.mean() < checked.accuracy.high
    assert checked.n_yes == is_right[rows].sum() and checked.n_open == checked.n_beside == 0
    after = with_answers(run, checked)
    assert run.confidence.mean() - is_right.mean() > 0.15
    assert abs(after.confidence.mean() - is_right.mean()) < 0.05
    np.testing.assert_allclose(after.probabilities.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(after.probabilities.argmax(axis=1), run.cluster)
    own = after.probabilities[np.arange(400), run.cluster]
    np.testing.assert_allclose(own, np.maximum(after.confidence, 0.25), atol=0.01)
    record = json.loads(json.dumps(checked.to_json()))
    assert Checked.from_json(record) == checked
    for damaged in (7, record | {"accuracy": "high"}, {"../../x" + name: record[name] for name in record}):
        with pytest.raises(RunFolderError, match="is not what `ruc` writes there"):
            Checked.from_json(damaged)


def test_only_what_was_drawn_says_something_of_others() -> None:
    run, _ = make_checkable()
    drawn = replace(run, notes={ASKED: list(run.file_names[:100:4])})
    answers = dict.fromkeys(run.file_names[:50], False)
    checked = check_answers(drawn, answers)
    assert checked is not None
    assert (checked.accuracy.n_answers, checked.n_open, checked.n_beside) == (13, 12, 37)
    assert check_answers(drawn, {run.file_names[1]: True}) is None
    assert check_answers(drawn, {}) is None


def test_where_all_are_answered_nothing_is_left_to_guess() -> None:
    run, is_right = make_checkable()
    drawn = replace(run, notes={ASKED: list(run.file_names[:100:4])})
    checked = check_answers(drawn, dict(zip(run.file_names, is_right.tolist(), strict=True)))
    assert checked is not None
    assert (checked.accuracy.n_answers, checked.n_open, checked.n_beside) == (len(run.file_names), 0, 0)
    assert checked.accuracy.value == pytest.approx(is_right.mean())
    assert checked.accuracy.low == checked.accuracy.high == checked.accuracy.value


def test_what_is_said_without_an_answer_doesnt_depend_on_it() -> None:
    run, is_right = make_checkable()
    answers = {run.file_names[row]: bool(is_right[row]) for row in range(0, 400, 8)}
    rows, said = without_their_answers(run, answers)
    assert rows.tolist() == list(range(0, 400, 8))
    asked = run.file_names[rows[7]]
    _, after = without_their_answers(run, answers | {asked: not answers[asked]})
    np.testing.assert_array_equal(after[7], said[7])
    assert (
        np.abs(after - said).max(axis=1) > 1e-4
    ).sum() > 30  # of 50; it was one of those that judge with it, too
    own = said[np.arange(50), run.cluster[rows]]
    assert abs(own.mean() - is_right.mean()) < 0.15 < run.confidence[rows].mean() - is_right.mean()


def test_a_single_answer_leaves_what_is_said_of_its_image() -> None:
    run, _ = make_checkable()
    rows, said = without_their_answers(run, {run.file_names[3]: False})
    np.testing.assert_allclose(said, run.probabilities[rows], atol=1e-6)
    assert without_their_answers(run, {})[1].shape == (0, 4)


def test_the_cluster_with_the_most_wrong_is_next() -> None:
    run, _ = make_checkable()
    checked = check_answers(run, {name: run.cluster[row] != 2 for row, name in enumerate(run.file_names[::3])
                                  for row in [3 * row]})  # fmt: skip
    assert checked is not None and checked.next_cluster == 2
    assert checked.clusters[2].value == 0 and checked.clusters[1].value == 1
    assert checked.expected_wrong == pytest.approx((run.cluster == 2).sum(), rel=0.2)


def test_answers_are_edits() -> None:
    run, _ = make_checkable()
    a, b, c = run.file_names[0], run.file_names[150], run.file_names[399]
    asked = [Answer(a, 0, 0), Answer(b, int(run.cluster[150]), None), Answer(c, 3, 1)]
    after = apply_edits(run, asked)
    assert (after.cluster[0], after.confidence[0]) == (0, 1)
    assert after.cluster[150] != run.cluster[150]
    assert after.probabilities[150, run.cluster[150]] == 0
    assert (after.cluster[399], after.confidence[399]) == (1, 1)
    np.testing.assert_allclose(after.probabilities.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(after.probabilities.argmax(axis=1), after.cluster)
    assert after.marks["moved_by_hand"].nonzero()[0].tolist() == [0, 399]
    checked = checked_of(after)
    assert checked is not None and (checked.n_yes, checked.accuracy.n_answers) == (1, 3)
    back = undo_edits(after)
    assert checked_of(back) is None
    np.testing.assert_array_equal(back.confidence, run.confidence)
    np.testing.assert_array_equal(back.probabilities, run.probabilities)


def test_new_images_follow_the_answers() -> None:
    run, is_right = make_checkable()
    edits = [
        Answer(name, int(run.cluster[row]), int(run.cluster[row]) if is_right[row] else None)
        for row, name in enumerate(run.file_names[:200])
    ]
    after = apply_edits(run, edits)
    cluster, probabilities = follow_edits(after, run.probabilities, run.features)
    np.testing.assert_array_equal(cluster, after.cluster)
    np.testing.assert_allclose(probabilities, after.probabilities, atol=1e-6)


def test_answers_outlast_a_merge() -> None:
    run, _ = make_checkable()
    after = apply_edits(apply_edits(run, [Answer(run.file_names[0], 0, 0)]), [Merge((1, 0))])
    assert after.cluster[0] == 1 and after.confidence[0] == 1
    checked = checked_of(after)
    assert checked is not None and checked.n_yes == 1


def test_after_a_lesson_as_many_are_wrong_in_total_as_the_answers_say() -> None:
    """Half of the answers are no's, though the confidence is .9: a cluster is not called better than all together."""
    run, _ = make_checkable()
    answers = {name: row % 2 == 0 for row, name in enumerate(run.file_names[:100])}
    checked = check_answers(run, answers)
    assert checked is not None
    placed = np.arange(400) < 100
    after = with_lesson(checked, run, answers, {}, placed, run.cluster, np.full(len(run.cluster), 0.9))
    sizes = np.bincount(run.cluster)
    assert after.learned is not None and after.learned.value == pytest.approx((100 + 300 / 2) / 400, abs=0.02)
    expected = (1 - after.learned.value) * sizes.max()
    assert after.expected_wrong == pytest.approx(expected) and after.next_cluster == sizes.argmax()
