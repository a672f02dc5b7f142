"""One array from a file: .npy, or what holds a single array as NumPy, safetensors or MATLAB write it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ruc.errors import InputError
from ruc.readers import load_matlab, load_npy, load_npz, load_tensors
from ruc.tables.kinds import kind_of

NO_PICKLE: Final = "which can run programs when it's opened; where it was made, save the array by numpy.save"


def read_array(path: Path, map_large: int | None = None) -> NDArray[Any]:
    """The array of a .npy, or the only array of a .npz, .safetensors or .mat (before version 7.3).

    Parameters
    ----------
    path
        The file; its bytes say what it is.
    map_large
        A .npy of more bytes than that is mapped instead of read, copying what is written to.

    Raises
    ------
    InputError
        No such file, several arrays, objects instead of values, or another kind of file, which is named.
    """
    try:
        kind = kind_of(path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; expected a .npy file") from error
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); expected a file that you may read"
        ) from error
    match kind:
        case "npy":
            array = load_npy(path, mapped=map_large is not None and path.stat().st_size > map_large)
        case "npz":
            array = _only(path, load_npz(path))
        case "safetensors":
            tensor = _only(path, load_tensors(path)[0])
            # NumPy has no bfloat16, and float32 holds all its values.
            array = np.asarray(tensor.float() if tensor.is_floating_point() else tensor)
        case "MATLAB":
            array = np.asarray(_only(path, load_matlab(path)))
            array = array.ravel() if array.ndim == 2 and 1 in array.shape else array  # it has no vectors
        case _:
            raise InputError(f"{path}: {_what_it_is(kind)}")
    if array.dtype.kind == "V":
        raise InputError(
            f"{path}: holds {array.dtype.itemsize}-byte values of a type that NumPy doesn't know (bfloat16 is saved "
            "so); save it as float32: array.astype(numpy.float32)"
            if array.dtype.names is None
            else f"{path}: holds records of {', '.join(array.dtype.names)}; save the field that counts alone"
        )
    return array


def _only(path: Path, arrays: Mapping[str, Any]) -> Any:
    if len(arrays) != 1:
        names = list(arrays)
        held = ", ".join(names[:5]) + (", …" if len(names) > 5 else "") or "nothing"
        raise InputError(
            f"{path}: holds {len(names)} arrays ({held}); expected one: save it alone, by numpy.save"
        )
    return next(iter(arrays.values()))


def _what_it_is(kind: str | None) -> str:
    if kind is None:
        return "is no .npy, .npz, .safetensors or .mat; save the array by numpy.save"
    if "pickle" in kind:
        return f"is a {kind}, {NO_PICKLE}"
    return f"is of the format {kind}; expected an array as numpy.save writes it"
