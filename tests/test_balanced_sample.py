"""A part to fit on: evenly drawn, in order, with small groups nearly whole, from shards as from one matrix."""

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from sklearn.datasets import make_blobs

from ruc import balanced_sample as sample
from ruc.balanced_sample import balanced_sample
from ruc.errors import InputError
from ruc.pipeline import run_to_folder
from ruc.run_folder import read_run
from ruc.runtime import Runtime
from ruc.settings import make_settings

CPU = Runtime("cpu")


@pytest.fixture
def many(tmp_path):
    """A folder of two shards, the rows, and which are of a small group."""
    rows, groups = make_blobs([1500, 1500, 40], 4, cluster_std=0.5, random_state=0)
    rows = rows.astype(np.float32)
    (tmp_path / "shards").mkdir()
    for number, places in enumerate(np.split(np.arange(len(rows)), [1000])):
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(rows[places].ravel()), 4)
        table = pa.table({"file_name": [f"{place}.png" for place in places], "embedding": vectors})
        parquet.write_table(table, tmp_path / "shards" / f"{number}.parquet")
    return tmp_path / "shards", rows, groups == 2


def test_a_small_group_is_nearly_whole(many):
    folder, rows, is_small = many
    drawn = balanced_sample(folder, 600, CPU)
    places = np.array([int(name.removesuffix(".png")) for name in drawn.names])
    assert drawn.n_all == 3040 and len(places) == len(np.unique(places)) == 600
    assert (np.diff(places) > 0).all()
    np.testing.assert_array_equal(drawn.values, rows[places])
    assert is_small[places].sum() > 24  # of 40; a random part would hold 8


def test_a_matrix_gives_the_same(many, tmp_path, monkeypatch):
    folder, rows, _ = many
    np.save(tmp_path / "f.npy", rows)
    monkeypatch.setattr(sample, "BLOCK_ROWS", 700)
    drawn, of_shards = balanced_sample(tmp_path / "f.npy", 600, CPU), balanced_sample(folder, 600, CPU)
    np.testing.assert_array_equal(drawn.values, of_shards.values)
    assert [f"{name}.png" for name in drawn.names] == list(of_shards.names)
    everything = balanced_sample(folder, 4000, CPU)
    np.testing.assert_array_equal(everything.values, rows)


def test_each_cell_gives_what_it_has_up_to_a_number():
    cells = np.repeat([0, 1, 2], [100, 5, 50])
    chosen = sample._evenly(cells, 45, np.random.default_rng(0))
    assert np.bincount(cells[chosen]).tolist() == [20, 5, 20]
    assert len(np.unique(chosen)) == 45


def test_shards_of_other_widths_are_refused(many):
    folder, _, _ = many
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.ones(6, np.float32)), 3)
    parquet.write_table(pa.table({"file_name": ["a", "b"], "embedding": vectors}), folder / "2.parquet")
    with pytest.raises(InputError, match=r"2\.parquet: holds 3 features a row"):
        balanced_sample(folder, 600, CPU)


def test_a_run_says_that_it_is_about_a_part(many, tmp_path):
    folder, _, is_small = many
    given = {
        "features": str(folder), "fit_on": 600, "n_clusters": 3, "base": "kmeans", "output": str(tmp_path / "run"),
        "refine": {"n_epochs": 1},
    }  # fmt: skip
    run_to_folder(make_settings(given), overwrite=False, verbose=False)
    run = read_run(tmp_path / "run")
    assert len(run.file_names) == 600 and run.settings["fit_on"] == 600
    assert any("fitted on 600 of 3040 samples" in remark for remark in run.notes["remarks"])
    small = [is_small[int(name.removesuffix(".png"))] for name in run.file_names]
    assert len(np.unique(run.cluster[small])) == 1
    with pytest.raises(InputError, match="fit_on given beside"):
        run_to_folder(make_settings({**given, "features": [str(folder)] * 2}), overwrite=True, verbose=False)
