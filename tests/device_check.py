"""A pretended device: real numbers on the CPU that say they're elsewhere, and errors where CUDA would raise them.

Tensors on torch's "meta" device are made to hold real values. Whatever mixes them with tensors on the CPU, other than
what CUDA allows too (numbers without dimensions, indices on the CPU, copies), raises, as does what CUDA can't do. Noted
is what the CPU would wait for (numbers and sizes that only the device knows, and what comes back), and what is sent.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

__all__ = ["ELSEWHERE", "pretended_device"]

ELSEWHERE = torch.device("meta")
COPIES = {"aten::_to_copy", "aten::copy_"}
ASKING = {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal"}
INDEXED = {"aten::index", "aten::index_put_", "aten::index_put", "aten::_index_put_impl_"}


class _Elsewhere(torch.Tensor):
    """A tensor that says it's elsewhere; `values` are its numbers."""

    values: torch.Tensor

    @staticmethod
    def __new__(cls, values: torch.Tensor) -> "_Elsewhere":
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            values.size(),
            strides=values.stride(),
            storage_offset=values.storage_offset(),
            dtype=values.dtype,
            device=ELSEWHERE,
        )
        made.values = values
        return made

    is_meta = False  # else torch would skip copying numbers there

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def numpy(self, *, force: bool = False) -> Any:
        raise TypeError("can't convert a tensor elsewhere to numpy; use Tensor.cpu() first")

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise RuntimeError(f"{func} outside of pretended_device()")


class Pretend(TorchDispatchMode):
    """What was done elsewhere that the CPU has to wait for, and what was sent there, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []
        self.sent: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = func._schema.name
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        if name in INDEXED:
            tensors = [args[0], *([args[2]] if len(args) > 2 else [])]
        far = [isinstance(tensor, _Elsewhere) for tensor in tensors]
        is_far = any(far)
        if name not in COPIES and is_far:
            strangers = [t for t, there in zip(tensors, far, strict=True) if not there and t.dim() > 0]
            if strangers:
                raise RuntimeError(f"{name} mixes devices: {[tuple(t.shape) for t in strangers]} on the CPU")
        if name == "aten::copy_":
            is_far = far[0]
        if kwargs.get("device") is not None:
            is_far = torch.device(kwargs["device"]).type == ELSEWHERE.type
            kwargs["device"] = torch.device("cpu")
        self._note(name, args, is_far)
        plain_args, plain_kwargs = tree_map(_values, (args, kwargs))
        out = func(*plain_args, **plain_kwargs)
        if not func._schema.returns:
            return None
        if func._schema.is_mutable and name.endswith("_"):
            return args[0]
        return tree_map(
            lambda leaf: _Elsewhere(leaf) if is_far and isinstance(leaf, torch.Tensor) else leaf, out
        )

    def _note(self, name: str, args: Any, is_far: bool) -> None:
        comes_from = args[1] if name == "aten::copy_" else args[0] if args else None
        was_far = isinstance(comes_from, _Elsewhere)
        if name in COPIES and is_far and not was_far:
            self.sent.append(name)
        indices = args[1] if name in INDEXED and is_far else []
        from_masks = any(index is not None and index.dtype == torch.bool for index in indices)
        if from_masks or (was_far and (name in ASKING or (name in COPIES and not is_far))):
            self.waits.append(name)


def _values(leaf: Any) -> Any:
    return leaf.values if isinstance(leaf, _Elsewhere) else leaf


@contextmanager
def pretended_device(monkeypatch: Any) -> Iterator[Pretend]:
    """Whatever is put on `ELSEWHERE` inside is really computed, and held apart from the CPU."""
    made = torch.tensor

    def tensor(*args: Any, device: Any = None, **kwargs: Any) -> torch.Tensor:
        return made(*args, **kwargs).to(device)  # there directly, torch would leave the numbers out

    monkeypatch.setattr(torch, "tensor", tensor)
    monkeypatch.setattr(torch, "autocast", lambda *args, **kwargs: nullcontext())
    with Pretend() as pretend:
        yield pretend
