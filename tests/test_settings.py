"""Settings: YAML under the command line, and messages that say what to do."""

from pathlib import Path

import pytest
import yaml

from ruc.errors import InputError, UsageError
from ruc.refine.settings import RefineSettings
from ruc.settings import cluster_range, load_config, make_settings


def test_command_line_wins_over_yaml(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("source: photos\nn_clusters: 7\nrefine: {epsilon: 0.3, n_epochs: 5}\n")
    settings = make_settings({"n_clusters": "9", "refine": {"n_epochs": 6}}, config)
    assert settings.source == "photos"
    assert settings.n_clusters == 9
    assert (settings.refine.epsilon, settings.refine.n_epochs) == (0.3, 6)


def test_resolved_settings_read_back_the_same(tmp_path: Path) -> None:
    settings = make_settings({"source": "photos", "refine": {"preset": "paper", "n_epochs": 3}})
    assert settings.refine == RefineSettings.paper(n_epochs=3)
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({**settings.as_yaml_dict(), "made_with": {"python": "3"}}))
    assert make_settings({}, config) == settings


def test_a_preset_replaces_the_constants_of_a_finished_run(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    before = make_settings({"source": "photos", "refine": {"epsilon": 0.3, "n_epochs": 5}})
    config.write_text(yaml.safe_dump(before.as_yaml_dict()))
    paper = make_settings({"refine": {"preset": "paper", "n_epochs": 3}}, config)
    assert paper.refine == RefineSettings.paper(n_epochs=3)
    assert make_settings({"refine": {"preset": "default"}}, config).refine == RefineSettings()


def test_another_space_chooses_its_own_constants(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = tmp_path / "config.yaml"
    before = make_settings(
        {"source": "photos", "space": "feature", "refine": {"epsilon": 0.3, "n_epochs": 5}}
    )
    config.write_text(yaml.safe_dump(before.as_yaml_dict()))
    assert make_settings({"space": "feature"}, config).refine == before.refine
    assert caplog.text == ""
    for space in ("image", "auto"):
        assert make_settings({"space": space}, config).refine == RefineSettings()
    assert "constants are those of --space feature; left out" in caplog.text
    assert make_settings({"space": "image", "refine": {"n_epochs": 3}}, config).refine == RefineSettings(
        n_epochs=3
    )
    config.write_text("source: photos\nrefine: {epsilon: 0.3}\n")  # of no space
    assert make_settings({"space": "image"}, config).refine == RefineSettings(epsilon=0.3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"source": "x", "n_clusters": "1"}, "1 given, expected at least 2"),
        ({"source": "x", "n_clusters": "7:5"}, "'7:5' given, expected a whole number"),
        ({"source": "x", "colour": 1}, "colour is no setting"),
        ({"source": "x", "refine": {"tau": 1}}, "'tau' is no constant of RUC"),
        ({"source": "x", "refine": {"n_epochs": 0}}, "n_epochs=0"),
        ({"source": "x", "refine": {"preset": "fast"}}, "preset 'fast' given"),
        (
            {"source": "x", "space": "moon"},
            "space='moon' cannot be used; expected one of 'auto', 'feature', 'image'",
        ),
        ({"source": "x", "max_skipped": 2}, "max_skipped=2 cannot be used; expected a number from 0 to 1"),
        (
            {"source": "x", "image_size": 4},
            "image_size=4 cannot be used; expected an integer from 8 to 1024, or None",
        ),
        ({"source": "x", "seed": "one"}, "seed='one' cannot be used; expected an integer of at least 0"),
        ({"source": "x", "value_range": 3}, "value_range=3 cannot be used; expected dict"),
        ({"source": "x", "output": 3}, "output=3 cannot be used; expected text"),
    ],
)
def test_wrong_settings_are_named_in_one_line(given: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        make_settings(given)
    assert "\n" not in str(caught.value)


def test_range() -> None:
    assert cluster_range("5:50") == (5, 50)
    for wrong in ("5", "1:4", "a:b", "5:", "-3:5"):
        with pytest.raises(ValueError, match="given, expected"):
            cluster_range(wrong)


def test_config_that_is_no_config(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_config(tmp_path / "none.yaml")
    for text in ("- a\n- b\n", "a: [1\n"):
        (tmp_path / "c.yaml").write_text(text)
        with pytest.raises(InputError, match="expected `name: value` lines"):
            load_config(tmp_path / "c.yaml")


@pytest.mark.parametrize("given", [{"source": "a\0b"}, {"output": "\ud800"}, {"features": ["f.npy", "\0"]}])
def test_what_no_file_can_be_called_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="no file can be called so"):
        make_settings(given)
