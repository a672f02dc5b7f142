import warnings

import pytest
import torch
from torch import nn

from ruc.errors import InputError
from ruc.evaluation.attacks import EPSILONS, attack_models, bim, fgsm


@pytest.fixture(scope="module")
def trained():
    """A small convolutional network on blobs that differ by class, and its images."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(4, (300,), generator=generator)
    patterns = torch.rand(4, 1, 8, 8, generator=generator)
    images = (0.3 * patterns[labels] + 0.7 * torch.rand(300, 1, 8, 8, generator=generator)).clamp(0, 1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 4))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(40):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    return model.eval(), images, labels


@pytest.fixture(scope="module")
def foolbox():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of old APIs
        import foolbox
    return foolbox


@pytest.mark.filterwarnings("ignore")  # foolbox's own, of old APIs
@pytest.mark.parametrize("epsilon", [0.01, 0.05, 0.3])
@pytest.mark.parametrize("ours", [fgsm, bim])
def test_foolbox_agrees(trained, foolbox, ours, epsilon):
    model, images, labels = trained
    theirs = {
        fgsm: foolbox.attacks.LinfFastGradientAttack(random_start=False),
        bim: foolbox.attacks.LinfBasicIterativeAttack(steps=10, rel_stepsize=0.2, random_start=False),
    }[ours]
    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    expected = theirs.run(wrapped, images, foolbox.criteria.Misclassification(labels), epsilon=epsilon)
    found = ours(model, images, labels, epsilon)
    # where a gradient is 0 but for rounding its sign is chance
    assert (found - expected).abs().gt(1e-5).float().mean() < 0.002
    accuracies = [float((model(changed).argmax(1) == labels).float().mean()) for changed in (found, expected)]
    assert accuracies[0] == pytest.approx(accuracies[1], abs=0.005)


@pytest.mark.parametrize("attack", [fgsm, bim])
def test_an_attack_stays_within_epsilon_and_the_pixel_range(trained, attack):
    model, images, labels = trained
    found = attack(model, images, labels, 0.07)
    assert (found - images).abs().max() <= 0.07 + 1e-6
    assert found.min() >= 0
    assert found.max() <= 1
    assert nn.functional.cross_entropy(model(found), labels) > nn.functional.cross_entropy(
        model(images), labels
    )


def test_by_hand():
    """Logits (x, -x): the loss for class 0 falls with x, so the attack lowers x, and raises it for class 1."""
    images, labels = torch.full((2, 1, 1, 1), 0.5), torch.tensor([0, 1])

    def model(inputs):
        values = inputs.flatten(1)
        return torch.cat([values, -values], dim=1)

    assert fgsm(model, images, labels, 0.1).flatten().tolist() == pytest.approx([0.4, 0.6])
    assert fgsm(model, images, labels, 0.9).flatten().tolist() == [0, 1]
    assert bim(model, images, labels, 0.1).flatten().tolist() == pytest.approx([0.4, 0.6])
    assert bim(model, images, labels, 0.1, n_steps=2).flatten().tolist() == pytest.approx([0.46, 0.54])


def test_the_table(trained):
    model, images, labels = trained
    turned = (labels + 1) % 4
    models = {"base": model, "refined": lambda batch: model(batch).roll(1, dims=1)}
    seen = []
    table = attack_models(
        models, images, {"base": labels, "refined": turned}, batch_size=128, advance=seen.append
    )
    assert table.clean_accuracy["base"] == table.clean_accuracy["refined"] > 0.85
    assert [(one.attack, one.epsilon) for one in table.results] == [
        (attack, epsilon) for attack, epsilons in EPSILONS.items() for epsilon in epsilons
    ]
    assert sum(seen) == len(images) * 2 * 10
    for one in table.results:  # the same model with its clusters renumbered
        assert one.accuracy["base"] == pytest.approx(one.accuracy["refined"], abs=0.01)
        assert one.drop["base"] == pytest.approx(table.clean_accuracy["base"] - one.accuracy["base"])
    assert table.results[-1].drop["base"] > 0
    assert "[0, 1]" in table.scale
    assert table.rows()[0] == ("attack", "ε", "base", "refined", "base drop", "refined drop")
    assert len(table.rows()) == 12
    assert table.to_dict()["results"][0]["attack"] == "fgsm"


def test_an_image_that_no_cluster_stands_for_is_wrong(trained):
    model, images, labels = trained
    partly = labels.clone()
    partly[:150] = -1
    table = attack_models({"base": model}, images, {"base": partly}, ("fgsm",))
    assert table.clean_accuracy["base"] <= 0.5


def test_wrong_input_says_so(trained):
    model, images, labels = trained
    with pytest.raises(InputError, match="'pgd' given; expected fgsm or bim"):
        attack_models({"base": model}, images, {"base": labels}, ("pgd",))
    with pytest.raises(InputError, match="no image"):
        attack_models({"base": model}, images[:0], {"base": labels[:0]})
