import pytest
import torch

from ruc.errors import InputError
from ruc.runtime import Runtime


def test_each_purpose_draws_for_itself() -> None:
    def draw(seed: int, purpose: str) -> list[float]:
        return torch.rand(4, generator=Runtime("cpu", seed).generator(purpose)).tolist()

    assert draw(0, "views") == draw(0, "views")
    assert draw(0, "views") != draw(1, "views")
    assert draw(0, "views") != draw(0, "weights")


@pytest.mark.parametrize("name", ["quantum", "cuda:99"])
def test_a_device_that_is_not_there(name: str) -> None:
    with pytest.raises(InputError, match=f"device '{name}' cannot be used here"):
        _ = Runtime(name).device


def test_auto_is_a_device_that_works() -> None:
    assert torch.ones(2, device=Runtime().device).sum().item() == 2


def test_networks_compute_in_the_precision_that_the_hardware_has() -> None:
    runtime = Runtime("cpu")
    with runtime.autocast():
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (runtime.autocast_dtype or torch.float32)
