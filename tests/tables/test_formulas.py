import pytest

from ruc.tables.formulas import as_meant, as_text


@pytest.mark.parametrize(
    ("cell", "safe"),
    [
        ("=1+1.png", "'=1+1.png"), ("+a", "'+a"), ("-a", "'-a"), ("@a", "'@a"), ("\t=a", "'\t=a"), ("'=a", "''=a"),
        ("a=1", "a=1"), ("'a", "'a"), ("", ""), ("é", "é"), ("1-2", "1-2"), ("''", "''"),
    ],
)  # fmt: skip
def test_formulas_are_quoted_and_taken_for_what_they_are(cell: str, safe: str) -> None:
    assert as_text(cell) == safe and as_meant(safe) == cell
