"""Softmax of few and of many clusters is PyTorch's, and so are its gradients."""

import pytest
import torch

from ruc.refine.probabilities import FEWEST_LONG, log_softmax, softmax


@pytest.mark.parametrize("n_clusters", [1, 10, FEWEST_LONG - 1, FEWEST_LONG])
@pytest.mark.parametrize("n_samples", [0, 30])
def test_is_that_of_torch(n_samples: int, n_clusters: int) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 20 * torch.randn(n_samples, n_clusters, generator=generator)
    wanted = torch.rand(n_samples, n_clusters, generator=generator)
    for own, theirs in ((softmax, torch.softmax), (log_softmax, torch.log_softmax)):
        one, other = (logits.clone().requires_grad_() for _ in range(2))
        found, expected = own(one), theirs(other, 1)
        torch.testing.assert_close(found, expected)
        (found * wanted).sum().backward()
        (expected * wanted).sum().backward()
        torch.testing.assert_close(one.grad, other.grad)
