"""What `import ruc` shows."""

import ruc


def test_the_public_names_are_shown_and_there() -> None:
    assert dir(ruc) == sorted([*ruc.__all__, "__version__"])
    assert all(callable(getattr(ruc, name)) for name in ruc.__all__)
    assert set(ruc.__all__) == set(ruc._HOMES)
