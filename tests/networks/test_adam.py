"""Adam by hand against PyTorch's."""

import torch

from ruc.networks.adam import Adam


def test_steps_as_torch_does_and_goes_on_with_some_of_the_rows() -> None:
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(4, 3, 2, generator=generator), torch.randn(4, 1, generator=generator)]
    theirs = [each.clone().requires_grad_() for each in start]
    reference = torch.optim.Adam(theirs, lr=0.1)
    own = [each.clone() for each in start]
    adam, kept = Adam(own), torch.tensor([3, 1])
    for step in range(6):
        if step == 3:  # two rows go on; the others' gradients don't matter to them
            own = [each[kept] for each in own]
            adam = adam.of(own, kept)
        gradients = [torch.randn(each.shape, generator=generator) for each in theirs]
        for each, gradient in zip(theirs, gradients, strict=True):
            each.grad = gradient.clone()
        rate = 0.1 / (step + 1)
        reference.param_groups[0]["lr"] = rate
        reference.step()
        adam.step([each if step < 3 else each[kept] for each in gradients], rate)
    for each, reached in zip(theirs, own, strict=True):
        torch.testing.assert_close(reached, each.detach()[kept], rtol=1e-5, atol=1e-6)
