import pytest
import torch
from device_check import ELSEWHERE, pretended_device
from threadpoolctl import ThreadpoolController

from ruc.errors import InputError
from ruc.runtime import Runtime, one_blas_thread, to_device


def test_each_purpose_draws_for_itself() -> None:
    def draw(seed: int, purpose: str) -> list[float]:
        return torch.rand(4, generator=Runtime("cpu", seed).generator(purpose)).tolist()

    assert draw(0, "views") == draw(0, "views")
    assert draw(0, "views") != draw(1, "views")
    assert draw(0, "views") != draw(0, "weights")


@pytest.mark.parametrize(("name", "why"), [("quantum", "is none"), ("cuda:99", "cannot be used here")])
def test_a_device_that_is_not_there(name: str, why: str) -> None:
    with pytest.raises(InputError, match=f"device '{name}' {why}; expected 'auto'"):
        _ = Runtime(name).device


def test_auto_is_a_device_that_works() -> None:
    assert torch.ones(2, device=Runtime().device).sum().item() == 2


def test_networks_compute_in_the_precision_that_the_hardware_has() -> None:
    runtime = Runtime("cpu")
    with runtime.autocast():
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (runtime.autocast_dtype or torch.float32)


def test_the_environment_may_ask_for_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setenv("RUC_PRECISION", "float32")
    assert Runtime("cpu").autocast_dtype is None
    monkeypatch.setenv("RUC_PRECISION", "half")
    with pytest.raises(InputError, match="RUC_PRECISION is 'half'; expected 'auto' or 'float32'"):
        _ = Runtime("cpu").autocast_dtype


def test_a_torch_that_does_not_say_has_no_bfloat16_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUC_PRECISION", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    assert Runtime("cpu").autocast_dtype == torch.bfloat16
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported")
    assert Runtime("cpu").autocast_dtype is None


def test_products_may_be_rounded_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    one, other = torch.randn(2, 200, 300, generator=generator)
    exact = one.double() @ other.T.double()
    before = torch.get_float32_matmul_precision()
    with Runtime("cpu").rounded_products():
        torch.testing.assert_close((one @ other.T).double(), exact, rtol=0, atol=0.3)  # of values up to 60
    monkeypatch.delenv("RUC_PRECISION", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    with pytest.raises(ZeroDivisionError), Runtime("cpu").rounded_products():
        assert torch.get_float32_matmul_precision() == "medium"
        1 / 0  # noqa: B018
    assert torch.get_float32_matmul_precision() == before
    monkeypatch.setenv("RUC_PRECISION", "float32")
    with Runtime("cpu").rounded_products():
        assert torch.get_float32_matmul_precision() == before


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_side_by_side_is_a_map_and_leaves_the_threads_as_they_were(n_threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        with Runtime("cpu").side_by_side(2) as run:
            shares = list(run(lambda one, other: (one * other, torch.get_num_threads()), [2, 3], [5, 7]))
        assert [product for product, _ in shares] == [10, 21]
        assert {share for _, share in shares} == {max(1, n_threads // 2)}
        assert torch.get_num_threads() == n_threads
    finally:
        torch.set_num_threads(before)


def test_numpy_multiplies_on_one_thread_and_then_as_before() -> None:
    def threads() -> list[int]:
        return [each["num_threads"] for each in of_numpy.info()]

    of_numpy = ThreadpoolController().select(internal_api="openblas")
    if not of_numpy:
        pytest.skip("NumPy multiplies by another library than OpenBLAS here")
    with of_numpy.limit(limits=2):
        before = threads()
        assert max(before) == 2
        with one_blas_thread():
            assert set(threads()) == {1}
        assert threads() == before


def test_what_fails_side_by_side_fails() -> None:
    with pytest.raises(ZeroDivisionError), Runtime("cpu").side_by_side(2) as run:
        list(run(lambda divisor: 1 / divisor, [1, 0]))


def test_tensors_travel_in_one_piece_and_arrive_as_they_were(monkeypatch) -> None:
    tensors = [torch.arange(6.0).view(2, 3), torch.empty(2, 0), torch.eye(2).expand(3, 2, 2)]
    with pretended_device(monkeypatch) as pretend:
        arrived = to_device(ELSEWHERE, *tensors)
        assert pretend.sent == ["aten::_to_copy"]
        assert all(tensor.device == ELSEWHERE for tensor in arrived)
        back = [tensor.cpu() for tensor in arrived]
    assert all(map(torch.equal, back, tensors))
    assert all(map(torch.equal, to_device(torch.device("cpu"), *tensors), tensors))
