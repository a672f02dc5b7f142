"""Answers from a CSV, however people write them, and what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
from runs import make_checkable

from ruc.edits import Answer
from ruc.edits.answer_table import read_answers
from ruc.errors import InputError

RUN = make_checkable(40)[0]
FIRST, LAST = RUN.file_names[0], RUN.file_names[-1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"file_name,answer\n{FIRST},yes\n{LAST},No\n", [Answer(FIRST, 0, 0), Answer(LAST, 3, None)]),
        (f"\ufefffile_name;answer\n{FIRST};n\n{LAST};\n", [Answer(FIRST, 0, None)]),
        (f"file_name,label\n{LAST},1\n{FIRST},0\n", [Answer(FIRST, 0, 0), Answer(LAST, 3, 1)]),
        (f"file_name,cluster,answer,label\n{FIRST},0,no,\n{LAST},3,,2\n", [Answer(FIRST, 0, None), Answer(LAST, 3, 2)]),
        (f"file_name,answer\n{FIRST},TRUE\n\n,,\n", [Answer(FIRST, 0, 0)]),
    ],
)  # fmt: skip
def test_answers_are_read(tmp_path: Path, text: str, expected: list[Answer]) -> None:
    path = tmp_path / "answers.csv"
    path.write_text(text, encoding="utf-8")
    assert list(read_answers(path, RUN)) == expected


def test_names_of_clusters_are_known(tmp_path: Path) -> None:
    path = tmp_path / "answers.csv"
    path.write_text(f"file_name,label\n{FIRST},dogs\n")
    named = replace(RUN, cluster_names=("cats", "dogs", "2", "3"))
    assert read_answers(path, named) == (Answer(FIRST, 0, 1),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file_name,is_right\na,b\n", "has the columns file_name, is_right"),
        (f"file_name,answer\n{FIRST},maybe\n", "line 2: answer 'maybe'"),
        (f"file_name,answer\n{FIRST},\n", "no answer is filled in"),
        ("file_name,answer\nelse.png,yes\n", "no image has the file name 'else.png'"),
        (f"file_name,answer\n{FIRST},yes\n{FIRST},no\n", "stands on line 2 already"),
        (f"file_name,label\n{FIRST},aeroplane\n", "no cluster is called 'aeroplane'"),
        (f"file_name,cluster,answer\n{FIRST},2,yes\n", "was asked about in cluster 2, and is in 0 now"),
        (f"file_name,cluster,answer\n{FIRST},{'1' * 5000},yes\n", "was asked about in cluster 111"),
        ("", "is empty"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "answers.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_answers(path, RUN)


def test_what_isnt_there_or_isnt_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_answers(tmp_path / "no.csv", RUN)
    path = tmp_path / "answers.csv"
    path.write_bytes(b"file_name,answer\n\xff\xfe,yes\n")
    with pytest.raises(InputError, match="isn't UTF-8"):
        read_answers(path, RUN)
