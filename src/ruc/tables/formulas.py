"""Cells of a CSV that a spreadsheet would take for formulas, made safe to open in one, and taken for what they are.

Excel, LibreOffice and Google Sheets compute what begins with =, +, - or @, as the name of a file that somebody sent may
do. A quote before it makes it text (OWASP, "CSV injection").
"""

import re
from typing import Final

FORMULA: Final = re.compile(r"'*[=+\-@\t\r]")
QUOTE: Final = "'"


def as_text(cell: str) -> str:
    """The cell with a quote before it where it would be a formula, or where it has such a quote already."""
    return QUOTE + cell if FORMULA.match(cell) else cell


def as_meant(cell: str) -> str:
    """The cell that `as_text` was given."""
    return cell[1:] if cell.startswith(QUOTE) and FORMULA.match(cell) else cell
