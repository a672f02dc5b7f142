import math

import pytest

from ruc.errors import InputError
from ruc.refine.settings import RefineSettings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("selection", "metric"), ("confidence_threshold", 1.1), ("n_neighbors", 0), ("n_epochs", 0), ("n_epochs", 2.5),
        ("batch_size", 1), ("learning_rate", 0), ("momentum", -0.1), ("weight_decay", "no"), ("epsilon", "normal"),
        ("sharpening_temperature", 0), ("mixup_alpha", 0),
        ("unclean_weight", -1), ("ramp_epochs", 0), ("ramp_floor", 2),
        ("promotion_threshold", 1.5), ("promotion_by", "both"), ("promotion", "yes"), ("co_training", None),
        ("label_smoothing", 2), ("forwards", "some"), ("propagation", 1.0), ("weigh_given", "no"),
    ],
)  # fmt: skip
def test_errors_carry_the_value(name, value):
    with pytest.raises(InputError) as error:
        RefineSettings(**{name: value})
    assert str(error.value).startswith(f"{name}={value!r} cannot be used; expected ")


def test_cosine():
    settings = RefineSettings(n_epochs=10, learning_rate=0.01)
    for epoch in range(10):
        assert settings.learning_rate_at(epoch) == pytest.approx(0.005 * (1 + math.cos(math.pi * epoch / 10)))


def test_ramp_is_linear_with_a_floor():
    settings = RefineSettings(n_epochs=200, unclean_weight=25.0)
    assert [settings.unclean_weight_at(epoch) for epoch in (0, 10, 20, 100)] == [2.5, 2.5, 2.5, 12.5]
    assert RefineSettings(n_epochs=400, ramp_epochs=200, unclean_weight=10.0).unclean_weight_at(399) == 10.0


def test_stepped_promotion():
    settings = RefineSettings(promotion_threshold="stepped")
    steps = [settings.promotion_threshold_at(epoch) for epoch in (0, 39, 40, 80, 199)]
    assert steps == pytest.approx([0.90, 0.90, 0.92, 0.94, 0.98])


def test_the_paper():
    paper = RefineSettings.paper()
    assert (paper.confidence_threshold, paper.n_neighbors, paper.n_epochs, paper.batch_size) == (
        0.99,
        100,
        200,
        250,
    )
    assert (paper.learning_rate, paper.momentum, paper.weight_decay) == (0.01, 0.9, 5e-4)
    assert (paper.epsilon, paper.unclean_weight, paper.mixup_alpha) == ("uniform", 25.0, 4.0)
    assert (paper.propagation, paper.weigh_given, paper.promotion_by) == (0.0, False, "confident")
    assert RefineSettings.paper(n_epochs=3).n_epochs == 3


def test_mixmatch_alone():
    alone = RefineSettings.mixmatch()
    assert not (alone.co_training or alone.label_smoothing or alone.promotion)
