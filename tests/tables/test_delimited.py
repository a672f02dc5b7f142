"""Delimited text in the dialects of those that write it."""

import pytest

from ruc.errors import InputError
from ruc.tables.delimited import columns_of_rows, rows_of_text


def columns(text: str) -> dict[str, list[str]]:
    rows, delimiter = rows_of_text(text, "t.csv")
    return columns_of_rows(rows, delimiter, "t.csv")


NAMED = {"file_name": ["a b.png", "c.png"], "label": ["x", ""]}


@pytest.mark.parametrize(
    "text",
    [
        "file_name,label\na b.png,x\nc.png,\n",  # pandas, polars, DuckDB
        'file_name,label\r\n"a b.png",x\r\nc.png,""',
        "file_name;label\ra b.png;x\rc.png;\r",
        "\ufeff\ufefffile_name\tlabel\na b.png\tx\nc.png\t\n",
        "sep=;\r\nfile_name;label\r\na b.png;x\r\nc.png;\r\n",  # Excel
        '"file_name" "label"\n"a b.png" "x"\n"c.png" NA\n',  # R: write.table(row.names = FALSE)
        '"file_name";"label"\n"a b.png";"x"\n"c.png";NA\n',  # R: write.csv2
        "file_name,label,,\na b.png,x,,\nc.png,,,\n",  # a spreadsheet's empty columns
        "file_name,label\na b.png,x,\nc.png,,\n",  # a delimiter after each line
        'file_name|label\n "a b.png" |x\nc.png|\n',
    ],
)
def test_every_dialect_says_the_same(text: str) -> None:
    assert {name: [cell.strip() for cell in cells] for name, cells in columns(text).items()} == NAMED


@pytest.mark.parametrize(
    "text",
    ['"","label"\n"a","x"\n"b","y"\n', '"label"\n"a","x"\n"b","y"\n', "label\na\tx\nb\ty\n", "label\na x\nb y\n"],
)  # fmt: skip
def test_row_names_of_r_have_no_heading_or_an_empty_one(text: str) -> None:
    if "\t" in text or " " in text:  # one heading alone tells no delimiter
        text = text.replace("label", "note\tlabel" if "\t" in text else "note label")
        text = (
            text.replace("\tx", "\t.\tx").replace("\ty", "\t.\ty").replace(" x", " . x").replace(" y", " . y")
        )
    found = columns(text)
    assert found[""] == ["a", "b"] and found["label"] == ["x", "y"]


def test_quotes_within_values_are_doubled_or_escaped() -> None:
    assert columns('label\n"a ""b"", c"\n')["label"] == ['a "b", c']
    assert columns('label\n"a \\"b\\", c"\n')["label"] == ['a "b", c']  # R's write.table, Spark
    assert columns('label,x\n"C:\\",1\n')["label"] == ["C:\\"]  # a backslash at the end is one
    assert columns('label\n5" pipe\n')["label"] == ['5" pipe']


def test_lines_within_quotes_are_one_row() -> None:
    rows, _ = rows_of_text('label,x\n"a\nb",1\nc,2\n', "t.csv")
    assert [(line, row[0].text) for line, row in rows] == [(1, "label"), (3, "a\nb"), (4, "c")]


@pytest.mark.parametrize("text", ['label\n"a\nb\n', 'label\n"a"b\n'])
def test_quotes_that_do_not_close_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"t\.csv, line 2: a quote that is within a value or isn't closed"):
        columns(text)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ('label,x\n"EU",1\nNA,2\n', ["EU", ""]),  # R quotes texts, and doesn't quote what is missing
        ('label,x\n"EU",1\n"NA",2\n', ["EU", "NA"]),
        ('label,x\n"NA",1\nNA,2\nEU,3\n', ["NA", "", "EU"]),  # readr quotes the text alone
        ("label,x\nEU,1\nNA,2\n", ["EU", "NA"]),  # nothing tells
        ('label,x\n"a, b",1\nNA,2\n', ["a, b", "NA"]),  # quoted because it must be
    ],
)
def test_a_missing_value_is_told_from_a_text_by_its_quotes(text: str, labels: list[str]) -> None:
    assert columns(text)["label"] == labels


def test_rows_of_another_length_are_refused() -> None:
    with pytest.raises(InputError, match="line 2: 3 values for 2 columns"):
        columns("file_name,label\na.png,big, dog\nb.png,small, cat\n")  # no row names: R quotes them
    with pytest.raises(InputError, match="line 3: 1 values for 2 columns"):
        columns("file_name,label\na.png,x\nb.png\n")
    with pytest.raises(InputError, match="two columns have the same name"):
        columns("label,label\na,x\n")
