"""Where and how the computing is done: device, precision, seeds."""

import os
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ruc.errors import InputError, UsageError, shown

PRECISION = "RUC_PRECISION"  # the environment variable


@dataclass(frozen=True)
class Runtime:
    """The device, the seed, and whether progress is shown.

    Attributes
    ----------
    device_name
        "auto" (CUDA, then Apple's MPS, then the CPU), or a torch device such as "cpu" or "cuda:1".
    seed
        All randomness derives from it; the same seed on the same machine gives the same result.
    verbose
        Whether progress bars (or, without a terminal, log lines) are shown.
    """

    device_name: str = "auto"
    seed: int = 0
    verbose: bool = False

    @cached_property
    def device(self) -> torch.device:
        """The torch device; raises `InputError` when it does not exist here."""
        if self.device_name == "auto":
            if torch.cuda.is_available():
                return torch.device("cuda")
            return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
        expected = "expected 'auto', 'cpu', 'cuda' or 'mps'"
        remedy = "omit --device to take what there is"
        try:
            device = torch.device(self.device_name)
        except (RuntimeError, TypeError) as error:
            raise UsageError(f"device {shown(self.device_name)} is none; {expected}: {remedy}") from error
        try:
            torch.zeros(1, device=device).item()
        except (RuntimeError, AssertionError) as error:
            raise InputError(
                f"device {shown(self.device_name)} cannot be used here; {expected} "
                f"({str(error).splitlines()[0]}); {remedy}"
            ) from error
        return device

    @cached_property
    def autocast_dtype(self) -> torch.dtype | None:
        """bfloat16 where the hardware multiplies it natively, else None (float32).

        Emulated bfloat16 is two orders of magnitude slower than float32 on a CPU without AVX512-BF16 or AMX. Where
        native bfloat16 is slow too, ``RUC_PRECISION=float32`` in the environment does without.
        """
        if _wanted_precision() == "float32":
            return None
        if self.device.type == "cuda":
            return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else None
        if self.device.type == "cpu" and _has_bfloat16():
            return torch.bfloat16
        return None

    def autocast(self) -> torch.autocast:
        """Return the context in which networks compute in `autocast_dtype`, or in float32 where that is None."""
        return torch.autocast(self.device.type, self.autocast_dtype, enabled=self.autocast_dtype is not None)

    @contextmanager
    def rounded_products(self) -> Iterator[None]:
        """Products of float32 matrices to three digits on a CPU that multiplies bfloat16, in half of the time or less.

        On an AMD with AVX-512 nothing is rounded: oneDNN, which PyTorch asks then, is faster there than MKL in float32.
        The setting is of the whole process: what other threads compute meanwhile is rounded too.
        """
        if self.device.type != "cpu" or self.autocast_dtype is None:
            yield
            return
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("medium")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)

    @contextmanager
    def side_by_side(self, n_jobs: int) -> Iterator[Callable[..., Iterator[Any]]]:
        """Give a `map` whose calls run at the same time, on a CPU, each on its share of the threads.

        Two small networks on a core each are done sooner than one after the other on both cores, where they'd wait
        for each other after every layer. On other devices, or with a single thread, it's the plain `map`; so it is of
        several processes, which have to call each other in one order.
        """
        n_threads = torch.get_num_threads()
        is_one_of_several = torch.distributed.is_available() and torch.distributed.is_initialized()
        if n_jobs == 1 or n_threads == 1 or self.device.type != "cpu" or is_one_of_several:
            yield map
            return
        share = max(1, n_threads // n_jobs)
        try:
            with ThreadPoolExecutor(n_jobs, initializer=torch.set_num_threads, initargs=(share,)) as pool:
                # Here too, or threads of PyTorch's own are in the way of the calls.
                torch.set_num_threads(share)
                yield pool.map
        finally:
            torch.set_num_threads(n_threads)

    def generator(self, purpose: str) -> torch.Generator:
        """Return a CPU generator for one purpose, so that a resumed stage draws what it would have drawn."""
        return torch.Generator().manual_seed(self.numpy_seed(purpose))

    def numpy_seed(self, purpose: str) -> int:
        """Return the seed in [0, 2**32) of one purpose, for NumPy and scikit-learn."""
        return zlib.crc32(f"{purpose}/{self.seed}".encode())


def to_device(device: torch.device, *tensors: Tensor) -> list[Tensor]:
    """Tensors of one type from the CPU to a device, all in one piece, without waiting until they are there.

    An ordinary copy to CUDA waits for all work before it; one from pinned memory is made in the background.
    """
    if device.type == "cpu":
        return list(tensors)
    in_background = device.type == "cuda"
    piece = torch.cat([tensor.flatten() for tensor in tensors])
    piece = (piece.pin_memory() if in_background else piece).to(device, non_blocking=in_background)
    parts = torch.split(piece, [tensor.numel() for tensor in tensors])
    return [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep NumPy's and SciPy's products, which are small here, on one thread.

    OpenBLAS's threads spin while they wait: beside another busy program a PCA took twenty times the processor time with
    two threads (experiments/LOG.md, "threads that spin"). The large products are torch's, whose threads can sleep.
    """
    from threadpoolctl import ThreadpoolController

    with ThreadpoolController().select(internal_api="openblas").limit(limits=1):
        yield


def _wanted_precision() -> str:
    """What the environment says of the precision; it belongs to the machine, not to a run."""
    wanted = os.environ.get(PRECISION, "auto")
    if wanted not in ("auto", "float32"):
        raise UsageError(f"{PRECISION} is {wanted!r}; expected 'auto' or 'float32': unset it, or set it so")
    return wanted


def _has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16; not known is no, since torch may take away what isn't public."""
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return supported is not None and supported()
