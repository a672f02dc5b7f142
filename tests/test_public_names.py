"""What `import ruc` shows."""

from importlib.metadata import version

import ruc


def test_the_public_names_are_shown_and_there() -> None:
    assert dir(ruc) == sorted([*ruc.__all__, "__version__"])
    assert all(callable(getattr(ruc, name)) for name in ruc.__all__)
    assert set(ruc.__all__) == set(ruc._HOMES)
    assert ruc.__version__ == version("ruc")
