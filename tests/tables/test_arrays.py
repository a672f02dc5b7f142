"""One array from a file, and files that hold something else called what they are."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.io import savemat

from ruc.errors import InputError
from ruc.tables.arrays import read_array

MATRIX = np.arange(6, dtype=np.float32).reshape(2, 3)


def test_a_single_array_is_read_from_whatever_holds_it(tmp_path: Path) -> None:
    np.save(tmp_path / "f.npy", MATRIX)
    np.savez(tmp_path / "f.npz", MATRIX)
    savemat(tmp_path / "f.mat", {"f": MATRIX})
    save_file({"f": torch.from_numpy(MATRIX).bfloat16()}, tmp_path / "f.safetensors")
    for suffix in ("npy", "npz", "mat", "safetensors"):
        np.testing.assert_array_equal(read_array(tmp_path / f"f.{suffix}"), MATRIX)
    (tmp_path / "f.npz").rename(tmp_path / "g.npy")  # the bytes count, not the name
    np.testing.assert_array_equal(read_array(tmp_path / "g.npy"), MATRIX)
    savemat(tmp_path / "l.mat", {"l": [3, 1]})
    assert read_array(tmp_path / "l.mat").tolist() == [3, 1]


def test_a_large_array_is_mapped(tmp_path: Path) -> None:
    np.save(tmp_path / "f.npy", MATRIX)
    assert isinstance(read_array(tmp_path / "f.npy", map_large=10), np.memmap)
    assert not isinstance(read_array(tmp_path / "f.npy", map_large=1000), np.memmap)


def test_several_arrays_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", a=MATRIX, b=MATRIX)
    with pytest.raises(InputError, match=r"holds 2 arrays \(a, b\); expected one"):
        read_array(tmp_path / "f.npz")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps(MATRIX), "is a pickle, which can run programs when it's opened"),
        (b"\x89HDF\r\n\x1a\n" + bytes(9), "is of the format HDF5; expected an array"),
        (b"PAR1" + bytes(9), "is of the format Parquet; expected an array"),
        (b"1,2\n3,4\n", "is no .npy"),
        (b"", "is no .npy"),
        (b"\x93NUMPY\x01\0", "cannot be read as a .npy"),
    ],
)
def test_anything_else_is_called_what_it_is(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "f.npy").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_array(tmp_path / "f.npy")


def test_nobody_is_told_to_unpickle(tmp_path: Path) -> None:
    torch.save(torch.from_numpy(MATRIX), tmp_path / "f.pt")
    np.save(tmp_path / "o.npy", np.array([{}], dtype=object), allow_pickle=True)
    for name in ("f.pt", "o.npy"):
        with pytest.raises(InputError) as caught:
            read_array(tmp_path / name)
        assert "allow_pickle" not in str(caught.value) and "weights_only" not in str(caught.value)


def test_bytes_of_a_type_that_numpy_does_not_know_are_refused(tmp_path: Path) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    np.save(tmp_path / "f.npy", MATRIX.astype(ml_dtypes.bfloat16))
    with pytest.raises(InputError, match=r"2-byte values .* \(bfloat16 is saved so\)"):
        read_array(tmp_path / "f.npy")
    np.save(tmp_path / "r.npy", np.zeros(3, [("x", "f4"), ("y", "f4")]))
    with pytest.raises(InputError, match="records of x, y"):
        read_array(tmp_path / "r.npy")
