"""Two runs beside each other."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import normalized_mutual_info_score
from test_summary import make_run

from ruc.doors.compare_runs import compare, matched_line
from ruc.errors import InputError
from ruc.run_folder import Run


def run_of(clusters: dict[str, int], names: tuple[str, ...]) -> Run:
    n = len(clusters)
    return replace(
        make_run(),
        file_names=tuple(clusters),
        cluster=np.asarray(list(clusters.values()), np.int64),
        probabilities=np.full((n, len(names)), 1 / len(names), np.float32),
        cluster_names=names,
    )


def test_what_moved_is_told_apart_from_what_got_another_number() -> None:
    first = run_of({"a": 0, "b": 0, "c": 1, "d": 1, "e": 1, "gone": 2}, ("cats", "dogs", "owls"))
    second = run_of({"new": 3, "e": 2, "d": 0, "c": 0, "b": 2, "a": 2}, ("0", "1", "2", "3"))
    comparison, rows = compare(first, second)
    assert rows == [("e", "dogs", "2")]
    assert (comparison.n_common, comparison.n_only_first, comparison.n_only_second) == (5, 1, 1)
    assert comparison.n_moved == 1
    assert [(flow.before, flow.after, flow.n_images, flow.is_match) for flow in comparison.flows] == [
        ("cats", "2", 2, True),
        ("dogs", "0", 2, True),
        ("dogs", "2", 1, False),
    ]
    assert matched_line(comparison) == "matched by most images in common: cats is 2, dogs is 0"
    assert matched_line(compare(first, first)[0]) is None
    expected = normalized_mutual_info_score([0, 0, 1, 1, 1], [2, 2, 0, 0, 2])
    assert comparison.nmi == pytest.approx(expected)


def test_a_cluster_that_was_split_is_matched_with_its_larger_part() -> None:
    first = run_of(dict.fromkeys("abcde", 0), ("all",))
    second = run_of({"a": 1, "b": 1, "c": 1, "d": 0, "e": 0}, ("small", "large"))
    assert [row[0] for row in compare(first, second)[1]] == ["d", "e"]


def test_runs_over_other_images_are_refused() -> None:
    with pytest.raises(InputError, match="no image in common: the first has 'a', the second 'x'"):
        compare(run_of({"a": 0}, ("0",)), run_of({"x": 0}, ("0",)))
