"""Edits: a case worked by hand, everything undone, and what cannot be done said in one line."""

import csv
import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from ruc.edits import (
    Answer,
    Junk,
    Learn,
    Merge,
    Move,
    Rename,
    Split,
    apply_edits,
    edits_of,
    find_cluster,
    follow_edits,
    initial_probabilities_of,
    junk_clusters,
    needs_features,
    read_edits,
    run_id,
    split_cluster,
    undo_edits,
)
from ruc.errors import InputError, RunFolderError
from ruc.run_folder import Run, read_run, write_run


def make_run() -> Run:
    """Six images, three clusters: 0 0 | 1 1 | 2 2; the fourth was in cluster 2 before RUC."""
    probabilities = np.array(
        [
            [0.9, 0.05, 0.05],
            [0.6, 0.3, 0.1],
            [0.1, 0.8, 0.1],
            [0.0, 0.7, 0.3],
            [0.2, 0.0, 0.8],
            [0.25, 0.25, 0.5],
        ],
        dtype=np.float32,
    )
    return Run(
        settings={"seed": 0},
        file_names=tuple("abcdef"),
        cluster=np.array([0, 0, 1, 1, 2, 2]),
        confidence=probabilities.max(axis=1),
        initial_cluster=np.array([0, 0, 1, 2, 2, -1]),
        was_clean=np.array([True, False, True, False, True, False]),
        is_clean=np.array([True, False, True, True, True, False]),
        probabilities=probabilities,
        features=np.eye(6, dtype=np.float32),
        cluster_names=("0", "1", "2"),
        notes={"warnings": ["w"]},
    )


def same(one: Run, other: Run) -> bool:
    for field in fields(Run):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, np.ndarray):
            if a.dtype != b.dtype or not np.array_equal(a, b):
                return False
        elif isinstance(a, dict) and any(isinstance(value, np.ndarray) for value in a.values()):
            if a.keys() != b.keys() or any(not np.array_equal(a[key], b[key]) for key in a):
                return False
        elif a != b:
            return False
    return True


def test_merge_by_hand() -> None:
    run = apply_edits(make_run(), [Merge((0, 1))])
    assert run.cluster.tolist() == [0, 0, 0, 0, 2, 2]
    # before RUC the two were one as well: only what RUC moved counts as changed
    assert run.initial_cluster.tolist() == [0, 0, 0, 2, 2, -1]
    assert run.changed.tolist() == [False, False, False, True, False, False]
    np.testing.assert_allclose(run.confidence, [0.95, 0.9, 0.9, 0.7, 0.8, 0.5], rtol=1e-6)
    np.testing.assert_allclose(run.probabilities[1], [0.9, 0, 0.1], rtol=1e-6)
    assert run.n_clusters == 3
    assert len(run.cluster_names) == 3


def test_a_merge_takes_the_name_where_the_target_has_none() -> None:
    run = apply_edits(make_run(), [Rename(1, "dogs"), Merge((0, 1))])
    assert run.cluster_names == ("dogs", "1", "2")
    run = apply_edits(make_run(), [Rename(1, "dogs"), Rename(0, "cats"), Merge((0, 1))])
    assert run.cluster_names == ("cats", "1", "2")


def test_move_makes_certain_and_may_open_a_new_cluster() -> None:
    run = apply_edits(make_run(), [Move(("b", "f"), 3)])
    assert run.cluster.tolist() == [0, 3, 1, 1, 2, 3]
    assert run.confidence[[1, 5]].tolist() == [1, 1]
    assert run.marks["moved_by_hand"].tolist() == [False, True, False, False, False, True]
    assert run.cluster_names == ("0", "1", "2", "3")
    assert run.probabilities.shape == (6, 4)
    np.testing.assert_allclose(run.probabilities[[1, 5]], [[0, 0, 0, 1]] * 2)
    np.testing.assert_array_equal(run.probabilities[0], [*make_run().probabilities[0], 0])
    np.testing.assert_array_equal(run.network_probabilities, make_run().probabilities)
    assert run.changed.tolist() == [False, True, False, True, False, False]


def test_confirming_is_moving_where_it_is() -> None:
    run = apply_edits(make_run(), [Move(("b",), 0)])
    assert run.cluster.tolist() == make_run().cluster.tolist()
    assert run.confidence[1] == 1
    assert run.marks["moved_by_hand"].sum() == 1


def test_rename_and_junk() -> None:
    run = apply_edits(make_run(), [Rename(2, " sunsets "), Junk(1)])
    assert run.cluster_names == ("0", "1", "sunsets")
    assert junk_clusters(run) == {1}
    assert apply_edits(run, [Rename(0, "👩‍👧 œ\u00a0猫")]).cluster_names[0] == "👩‍👧 œ\u00a0猫"
    run = apply_edits(run, [Junk(1, False), Rename(2, "")])
    assert run.cluster_names == ("0", "1", "2")
    assert junk_clusters(run) == frozenset()


def test_what_is_merged_is_as_its_target_junk_or_not() -> None:
    assert junk_clusters(apply_edits(make_run(), [Junk(1), Merge((0, 1))])) == frozenset()
    assert junk_clusters(apply_edits(make_run(), [Junk(0), Merge((0, 1))])) == {0}


def test_undo_goes_back_step_by_step_to_exactly_what_was() -> None:
    start = make_run()
    edits = [Rename(0, "x"), Merge((1, 2)), Move(("a",), 3), Junk(3), Merge((0, 3))]
    states = [start]
    for edit in edits:
        states.append(apply_edits(states[-1], [edit]))
    assert edits_of(states[-1]) == tuple(edits)
    together = apply_edits(start, edits)
    assert same(replace(together, notes={}), replace(states[-1], notes={}))  # or one by one
    for step in range(1, len(edits) + 1):
        assert same(undo_edits(states[-1], step), states[-1 - step])
    with pytest.raises(InputError, match="6 edits to undo; expected 1 to 5"):
        undo_edits(states[-1], 6)
    with pytest.raises(InputError, match="the run has no edits; expected a run that was edited"):
        undo_edits(start)


def test_undo_takes_back_what_was_applied_together() -> None:
    start = make_run()
    one = apply_edits(start, [Rename(0, "x")])
    three = apply_edits(one, [Merge((1, 2)), Move(("a",), 3), Junk(3)])
    assert same(undo_edits(three), one)
    assert same(undo_edits(undo_edits(three)), start)
    two = undo_edits(three, 1)  # of the last three
    assert edits_of(two) == edits_of(three)[:3]
    assert same(undo_edits(two), one)
    assert same(undo_edits(undo_edits(three, 3)), start)


def test_nothing_of_the_run_given_is_touched() -> None:
    start, again = make_run(), make_run()
    apply_edits(start, [Merge((0, 1)), Move(("a",), 2), Rename(2, "z")])
    assert same(start, again)


def test_the_log_survives_the_run_folder(tmp_path) -> None:  # type: ignore[no-untyped-def]
    start = make_run()
    edited = apply_edits(start, [Merge((0, 1)), Move(("f",), 3), Rename(3, "höhe"), Junk(2)])
    write_run(tmp_path / "run", edited)
    back = read_run(tmp_path / "run")
    assert edits_of(back) == edits_of(edited)
    np.testing.assert_array_equal(back.cluster, edited.cluster)
    restored = undo_edits(back, 4)
    for name in ("cluster", "initial_cluster", "confidence", "probabilities"):
        np.testing.assert_array_equal(getattr(restored, name), getattr(start, name))
    assert restored.notes == start.notes
    assert restored.marks == {}


@pytest.mark.parametrize("n_known", [5, 7])
def test_a_run_whose_doubt_before_the_edits_is_damaged_is_none(n_known: int, tmp_path: Path) -> None:
    run = replace(make_run(), marks={"doubt": np.full(6, 0.5, np.float32)})
    write_run(tmp_path, apply_edits(run, [Rename(0, "cats")]), {}, "")
    notes = json.loads((tmp_path / "notes.json").read_text())
    notes["before_edits"]["doubt"] = [0.5] * n_known
    (tmp_path / "notes.json").write_text(json.dumps(notes))
    with pytest.raises(RunFolderError, match="no doubt of each image"):
        read_run(tmp_path)


def test_metrics_go_when_clusters_change() -> None:
    measured = replace(make_run(), metrics={"accuracy": 1})
    renamed = apply_edits(measured, [Rename(0, "x")])
    assert renamed.metrics == {"accuracy": 1}
    merged = apply_edits(renamed, [Merge((0, 1))])
    assert merged.metrics is None
    assert undo_edits(replace(merged, metrics={"accuracy": 0.5})).metrics is None


def test_calibration_goes_when_a_confirmed_image_becomes_certain() -> None:
    confirmed = apply_edits(replace(make_run(), metrics={"ece": 0.1}), [Move(("f",), 2)])
    np.testing.assert_array_equal(confirmed.cluster, make_run().cluster)
    assert confirmed.confidence[5] == 1
    assert confirmed.metrics is None


def test_split_keeps_the_largest_part_and_repeats() -> None:
    rng = np.random.default_rng(0)
    centres = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1.0]])
    features = np.repeat(centres, [5, 3, 2], axis=0) + rng.normal(0, 0.01, (10, 3))
    run = replace(
        make_run(),
        file_names=tuple("abcdefghij"),
        cluster=np.zeros(10, dtype=np.int64),
        initial_cluster=np.array([0] * 9 + [1]),
        confidence=np.full(10, 0.5, dtype=np.float32),
        was_clean=np.ones(10, dtype=bool),
        is_clean=np.ones(10, dtype=bool),
        probabilities=np.tile(np.array([[0.5, 0.3, 0.2]], dtype=np.float32), (10, 1)),
        features=features.astype(np.float32),
    )
    split = split_cluster(run, 0, n_parts=3)
    assert split == split_cluster(run, 0, n_parts=3) == Split(0, (("f", "g", "h"), ("i", "j")))
    edited = apply_edits(run, [split])
    assert edited.cluster.tolist() == [0] * 5 + [3] * 3 + [4] * 2
    assert edited.confidence.tolist() == [0.5] * 10  # the nearest of each is in its part
    assert edited.changed.tolist() == [False] * 9 + [True]
    np.testing.assert_allclose(
        edited.probabilities[[0, 5, 8]], [[0.5, 0.3, 0.2, 0, 0], [0, 0.3, 0.2, 0.5, 0], [0, 0.3, 0.2, 0, 0.5]]
    )
    assert same(undo_edits(edited), run)
    with pytest.raises(InputError, match="11 parts for cluster 0; expected 2 to 10"):
        split_cluster(run, 0, n_parts=11)


def test_after_a_split_those_between_the_parts_are_less_sure() -> None:
    """Two groups of eight on an arc, and one image between them: half of its nearest images are in the other part."""
    angles = np.concatenate([np.linspace(0, 0.3, 8), [0.75], np.linspace(1.2, 1.5, 8)])
    n = len(angles)
    run = replace(
        make_run(),
        file_names=tuple(f"{row:02}" for row in range(n)),
        cluster=np.zeros(n, dtype=np.int64),
        initial_cluster=np.zeros(n, dtype=np.int64),
        confidence=np.full(n, 0.9, dtype=np.float32),
        was_clean=np.ones(n, dtype=bool),
        is_clean=np.ones(n, dtype=bool),
        probabilities=np.tile(np.array([[0.9, 0.1, 0]], dtype=np.float32), (n, 1)),
        features=np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32),
        marks={"doubt": np.full(n, 0.1, np.float32)},
    )
    edited = apply_edits(run, [Split(0, (run.file_names[9:],))])
    # Of the seven nearest of the one between, three or four are in the other part, and it votes for its own.
    assert edited.confidence[8] in (np.float32(0.9 * 4 / 8), np.float32(0.9 * 5 / 8))
    np.testing.assert_allclose(edited.confidence[[0, 1, 2, 14, 15, 16]], 0.9, rtol=1e-6)
    assert edited.marks["doubt"].argmax() == 8
    assert edited.marks["doubt"][8] > 0.5
    np.testing.assert_allclose(edited.probabilities.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(undo_edits(edited).marks["doubt"], run.marks["doubt"])
    np.testing.assert_array_equal(undo_edits(edited).confidence, run.confidence)


def test_a_placed_image_is_sure_and_a_merge_leaves_less_doubt() -> None:
    run = replace(make_run(), marks={"doubt": np.array([0.2, 0.6, 0.5, 0.6, 0.4, 0.8], np.float32)})
    placed = apply_edits(run, [Move(("f",), 0)])
    assert placed.confidence[5] == 1
    assert placed.marks["doubt"][5] == 0
    merged = apply_edits(run, [Merge((0, 1))])
    assert (merged.marks["doubt"][:4] < run.marks["doubt"][:4]).sum() == 3


def test_two_rings_are_split_into_the_rings() -> None:
    """Where k-means cuts both in half."""
    rng = np.random.default_rng(0)
    turn = np.linspace(0, 4 * np.pi, 144, endpoint=False) + rng.uniform(0, 0.05, 144)
    height = np.repeat([0.0, 0.8], 72)[:, None]
    rings = np.concatenate(
        [height, np.sqrt(1 - height**2) * np.stack([np.cos(turn), np.sin(turn)], axis=1)], axis=1
    )
    run = replace(
        make_run(),
        file_names=tuple(f"{row:03}" for row in range(144)),
        cluster=np.zeros(144, dtype=np.int64),
        features=rings.astype(np.float32),
    )
    (part,) = split_cluster(run, 0).parts
    assert set(part) in (set(run.file_names[:72]), set(run.file_names[72:]))


def test_new_images_follow_merges() -> None:
    run = apply_edits(make_run(), [Merge((1, 0)), Move(("a",), 3), Merge((2, 1))])
    new = np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7]], dtype=np.float32)
    cluster, probabilities = follow_edits(run, new, np.eye(6, dtype=np.float32)[[1, 2]])
    assert cluster.tolist() == [2, 2]
    np.testing.assert_allclose(probabilities, [[0, 0, 1, 0], [0, 0, 1, 0]], atol=1e-6)
    cluster, probabilities = follow_edits(make_run(), new, None)
    assert cluster.tolist() == [0, 2]
    np.testing.assert_array_equal(probabilities, new)


def test_the_training_images_predicted_anew_are_where_the_edits_put_them() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 5)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    probabilities = rng.dirichlet(np.full(4, 0.3), 300).astype(np.float32)
    names = tuple(f"{row:03}" for row in range(300))
    run = Run(
        settings={},
        file_names=names,
        cluster=probabilities.argmax(axis=1),
        confidence=probabilities.max(axis=1),
        initial_cluster=rng.integers(0, 4, 300),
        was_clean=np.ones(300, dtype=bool),
        is_clean=np.ones(300, dtype=bool),
        probabilities=probabilities,
        features=features,
        cluster_names=("0", "1", "2", "3"),
    )
    edited = apply_edits(run, [split_cluster(run, 1, 3)])
    edited = apply_edits(edited, [Merge((0, 4)), Move(names[10:20], 6), Rename(6, "odd")])
    edited = apply_edits(edited, [split_cluster(edited, 0, 2), Move(names[15:17], 2)])
    rows = rng.permutation(300)
    cluster, followed = follow_edits(edited, probabilities[rows], features[rows])
    np.testing.assert_array_equal(cluster, edited.cluster[rows])
    np.testing.assert_allclose(followed, edited.probabilities[rows], atol=1e-6)
    np.testing.assert_allclose(followed.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(
        edited.confidence, edited.probabilities[np.arange(300), edited.cluster], rtol=1e-6
    )


def test_the_table_and_the_review_follow(tmp_path: Path) -> None:
    doubt = np.array([0.1, 0.9, 0.8, 0.7, 0.6, 0.5], np.float32)
    run = replace(
        make_run(), marks={"doubt": doubt}, settings={"review": 0.5}, review=(("b", "0", 0.6, 0.9, "1"),)
    )
    write_run(tmp_path, run)
    assert "cluster_name" not in (tmp_path / "clusters.csv").read_text()
    edited = apply_edits(read_run(tmp_path), [Rename(1, "dogs"), Merge((1, 0)), Move(("c",), 2)])
    write_run(tmp_path, edited)
    with (tmp_path / "clusters.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["cluster_name"] for row in table] == ["dogs"] * 2 + ["2", "dogs", "2", "2"]
    assert [row["initial_cluster_name"] for row in table] == ["dogs"] * 3 + ["2", "2", ""]
    with (tmp_path / "review.csv").open(newline="") as file:
        review = list(csv.DictReader(file))
    rows = [(row["file_name"], row["cluster_name"], row["second_cluster_name"]) for row in review]
    number_of = {row["cluster_name"]: row["cluster"] for row in table}
    for row in review:  # one name of a column, one meaning, in every table
        assert row["cluster"] == number_of[row["cluster_name"]]
        assert row["second_cluster"] == number_of[row["second_cluster_name"]]
    # Of the five others of each, which are all equally near, as many are with it as with b: 1 - 0.7 × confidence.
    assert rows == [("f", "2", "dogs"), ("d", "dogs", "2"), ("e", "2", "dogs")]
    np.testing.assert_allclose(edited.marks["doubt"], [0.335, 0.37, 0, 0.51, 0.44, 0.65], rtol=1e-5)
    undone = undo_edits(read_run(tmp_path), 3)
    assert [row[0] for row in undone.review] == ["b", "c", "d"]
    np.testing.assert_array_equal(undone.marks["doubt"], doubt)
    thrown_away = apply_edits(read_run(tmp_path), [Junk(2)])
    assert [row[0] for row in thrown_away.review] == ["d", "b", "a"]  # e and f are not
    assert {row[4] for row in thrown_away.review} == {""}  # nor is one to be sent there
    assert not {"cluster_name", "initial_cluster_name"} & undone.marks.keys()


def test_new_images_go_to_the_nearest_part_of_a_split() -> None:
    run = replace(make_run(), features=np.eye(6, dtype=np.float32))
    run = apply_edits(run, [Split(0, (("b",),))])
    new = np.array([[0.7, 0.2, 0.1], [0.7, 0.2, 0.1], [0.1, 0.2, 0.7]], dtype=np.float32)
    features = np.array([[0.8, 0.6, 0, 0, 0, 0], [0.6, 0.8, 0, 0, 0, 0], [0.6, 0.8, 0, 0, 0, 0]])
    cluster, probabilities = follow_edits(run, new, features)
    assert cluster.tolist() == [0, 3, 2]
    expected = [[0.7, 0.2, 0.1, 0], [0, 0.2, 0.1, 0.7], [0, 0.2, 0.7, 0.1]]
    np.testing.assert_allclose(probabilities, expected, rtol=1e-6)
    assert needs_features(run) and not needs_features(apply_edits(make_run(), [Merge((0, 1))]))
    with pytest.raises(InputError, match="features missing"):
        follow_edits(run, new, None)


def test_the_training_images_are_known_again_however_a_cluster_was_split() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 3)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    probabilities = rng.dirichlet(np.full(3, 0.3), 40).astype(np.float32)
    names = tuple(f"{row:02}" for row in range(40))
    run = replace(
        make_run(),
        file_names=names,
        cluster=probabilities.argmax(axis=1),
        confidence=probabilities.max(axis=1),
        initial_cluster=rng.integers(0, 3, 40),
        was_clean=np.ones(40, dtype=bool),
        is_clean=np.ones(40, dtype=bool),
        probabilities=probabilities,
        features=features,
    )
    members = [name for name, cluster in zip(names, run.cluster, strict=True) if cluster == 0]
    edited = apply_edits(run, [Split(0, (tuple(members[::3]), tuple(members[1::3])))])
    rows = rng.permutation(40)
    noise = rng.normal(scale=1e-5, size=(40, 3)).astype(np.float32)  # decoded again
    cluster, followed = follow_edits(edited, probabilities[rows], features[rows] + noise)
    np.testing.assert_array_equal(cluster, edited.cluster[rows])
    np.testing.assert_array_equal(followed, edited.probabilities[rows])


def test_what_is_like_a_moved_image_is_not_that_image() -> None:
    run = apply_edits(make_run(), [Move(("a",), 3)])
    new = np.tile(np.array([[0.7, 0.2, 0.1]], np.float32), (3, 1))
    angle = np.array([0.0, 0.0005, 0.01])
    features = np.zeros((3, 6), np.float32)
    features[:, 0], features[:, 1] = np.cos(angle), np.sin(angle)
    assert follow_edits(run, new, features)[0].tolist() == [3, 3, 0]


def test_the_base_follows_merges_and_splits() -> None:
    base = np.array(
        [
            [0.8, 0.1, 0.1],
            [0.5, 0.3, 0.2],
            [0.2, 0.7, 0.1],
            [0.1, 0.4, 0.5],
            [0.3, 0.1, 0.6],
            [0.4, 0.3, 0.3],
        ],
        dtype=np.float32,
    )
    start = replace(make_run(), initial_probabilities=base)
    assert initial_probabilities_of(make_run()) is None
    np.testing.assert_array_equal(initial_probabilities_of(start), base)
    merged = apply_edits(start, [Merge((0, 1))])
    expected = np.stack([base[:, 0] + base[:, 1], np.zeros(6), base[:, 2]], axis=1)
    np.testing.assert_allclose(initial_probabilities_of(merged), expected, rtol=1e-6)
    # d was in 2 and is in 0 now: that 0 is divided doesn't say where in it d was
    split = apply_edits(merged, [Split(0, (("b", "d"),)), Move(("a",), 2)])
    assert split.initial_cluster.tolist() == [0, 3, 0, 2, 2, -1]
    np.testing.assert_allclose(
        initial_probabilities_of(split),
        [[0.9, 0, 0.1, 0], [0, 0, 0.2, 0.8], [0.9, 0, 0.1, 0], [0, 0, 0.5, 0.5], [0.4, 0, 0.6, 0], [0.7, 0, 0.3, 0]],
        rtol=1e-6,
    )  # fmt: skip
    np.testing.assert_array_equal(initial_probabilities_of(undo_edits(split, 3)), base)


def test_a_merged_cluster_is_gone() -> None:
    run = apply_edits(make_run(), [Merge((0, 1))])
    for edit in (Rename(1, "x"), Junk(1), Merge((2, 1)), Move(("a",), 1)):
        with pytest.raises(InputError, match="cluster 1 was merged into 0"):
            apply_edits(run, [edit])
    with pytest.raises(InputError, match="cluster 1 was merged into 0"):
        split_cluster(run, 1)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (Rename(3, "x"), "cluster 3 does not exist; expected 0 to 2"),
        (Merge((0,)), r"\[0\] to merge; expected two or more"),
        (Merge((0, 0)), r"\[0, 0\] to merge; expected two or more"),
        (Move(("a", "nope", "no"), 0), "2 file names to move are not in the run, the first is 'nope'"),
        (Move(("a",), 4), "cluster 4 does not exist"),
        (Split(0, (("c",),)), "expected images of that cluster"),
        (Split(0, (("a",), ("a",))), "each in one part"),
        (Split(0, (("a", "b"),)), "expected some that stay"),
        (Junk(-1), "cluster -1 does not exist"),
        (
            Rename(0, "\udcff"),
            r"'\\udcff' given as name of cluster 0; expected text without control characters",
        ),
        (Rename(0, "a\x1bb"), r"'a\\x1bb' given as name of cluster 0"),
        (Rename(0, "a\nb"), r"'a\\nb' given as name"),
    ],
)
def test_what_cannot_be_done(edit, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=message):
        apply_edits(make_run(), [edit])


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ((Merge(()),), "two or more different ones"),
        ((Learn(), Answer("nobody", 0, 0)), "placed by a person"),
        ((Merge((0, 1)), Merge((1, 0)), Learn(), Answer("a", 0, 1)), "was merged into"),
        ((Merge((0, 0)), Learn(), Answer("a", 0, 1)), "two or more different ones"),
    ],
)
def test_what_cannot_be_done_is_said_where_answers_look_at_it_first(edits, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=message):
        apply_edits(make_run(), edits)


def test_find_cluster_by_name_then_number() -> None:
    run = replace(make_run(), cluster_names=("cats", "2", "dogs"))
    assert find_cluster(run, "cats") == 0
    assert find_cluster(run, "2") == 1  # a name given in the labels goes before a number
    assert find_cluster(run, "0") == 0
    with pytest.raises(InputError, match="no cluster is called 'birds'; expected 0 to 2"):
        find_cluster(run, "birds")
    with pytest.raises(InputError, match="clusters 0, 2 are all called 'cats'"):
        find_cluster(replace(run, cluster_names=("cats", "2", "cats")), "cats")


def test_read_edits_json(tmp_path) -> None:  # type: ignore[no-untyped-def]
    run = make_run()
    path = tmp_path / "edits.json"

    def write(**changes: object) -> None:
        content = {
            "format": "ruc-edits",
            "version": 1,
            "run": run_id(run.file_names, run.cluster, run.cluster_names, ()),
            "edits": [
                {"op": "rename", "cluster": 0, "name": "x"},
                {"op": "merge", "clusters": [1, 2]},
                {"op": "junk", "cluster": 1, "junk": True},
                {"op": "move", "file_names": ["a"], "cluster": 3},
                {"op": "split", "cluster": 0, "parts": [["b"]]},
            ],
        }
        path.write_text(json.dumps({**content, **changes}))

    write()
    edits = read_edits(path, run)
    assert edits == (Rename(0, "x"), Merge((1, 2)), Junk(1), Move(("a",), 3), Split(0, (("b",),)))
    edited = apply_edits(run, edits[:2])
    with pytest.raises(InputError, match="another run, or edited since"):
        read_edits(path, edited)
    for wrong, message in (
        ({"version": 2}, "version 2; expected 1"),
        ({"format": "x"}, "holds no edits"),
        ({"edits": [{"op": "explode"}]}, "is no edit; expected op rename"),
        ({"edits": [{"op": "merge", "clusters": ["1", 2]}]}, "is no edit"),
        ({"edits": {}}, "holds no edits"),
        ({"edits": []}, "an empty list of edits, there is nothing to apply"),
    ):
        write(**wrong)
        with pytest.raises(InputError, match=message):
            read_edits(path, run)
    path.write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        read_edits(path, run)
    with pytest.raises(InputError, match="cannot be read"):
        read_edits(tmp_path / "missing.json", run)
