"""The code tables of I94_SAS_Labels_Descriptions.SAS, parsed as the source it is.

It is a SAS program: `value name code = 'label' …;` sections (`value $name` where codes are text), tabs and
blanks anywhere, labels padded with blanks, and quotes within them doubled (`'INT''L FALLS, MN'`) or not. Several
codes may stand on a line. The visa codes stand in a comment alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pyspark.sql import SparkSession

from sparkjobs.errors import BadInput
from sparkjobs.files import read_whole
from sparkjobs.values import BLANKS

# {section: {code: label}}; codes as text, labels without padding.
Labels = dict[str, dict[str, str]]

COUNTRIES, PORTS, MODES, STATES, VISAS = "i94cntyl", "i94prtl", "i94model", "i94addrl", "i94visa"
NIL = "Nil"

_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_SECTION = re.compile(r"\bvalue\s+\$?\s*(\w+)", re.IGNORECASE)
_CODE = r"""(?:'([^'\n]*)'|"([^"\n]*)"|([\w.]+))\s*=\s*"""
# A label ends at the quote after which the line ends or the next code begins: a quote within it may not be doubled.
_ENDS = r"""(?=[\s;]*(?:$|(?:'[^'\n]*'|"[^"\n]*"|[\w.]+)\s*=))"""
_PAIR = re.compile(rf"""{_CODE}(?:'(.*?)'|"(.*?)"){_ENDS}""")
# The published file has 30 KB in lines of at most 200 characters. Of a longer line each label may end at many quotes.
MAX_BYTES = 1 << 20
MAX_LINE = 1000
_VISA_COMMENT = re.compile(r"/\*\s*I94VISA\b(.*?)\*/", re.DOTALL)
# Labels of codes that were never a port's, or no longer are: `No PORT Code (AG)`, `Collapsed (FOK) 06/15`.
_NO_PORT = re.compile(r"\s*(?:No PORT Code|Collapsed)\b", re.IGNORECASE)
_REMARK = re.compile(r"#\w+|\([^)]*\)")
_VISA_PAIR = re.compile(r"^[^\S\n]*(\d+)[^\S\n]*=[^\S\n]*(\S.*?)[^\S\n]*$", re.MULTILINE)


def read_labels(spark: SparkSession, uri: str, notes: dict[str, int] | None = None) -> Labels:
    """The code tables of the label file at `uri`, which is UTF-8, UTF-16 or Windows-1252.

    Where it is the last, `notes` gets the number of its lines that are not UTF-8, as
    `labels_read_as_windows_1252`. Raises BadInput naming the file where it is missing, empty, or lacks a section
    that the job looks up.
    """
    text = _decode(read_whole(spark, uri, MAX_BYTES), {} if notes is None else notes)
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > MAX_LINE:
            raise BadInput(
                f"{uri} has {len(line)} characters in line {number}, where at most {MAX_LINE} were expected: it is "
                "not the published label file. Upload I94_SAS_Labels_Descriptions.SAS with its line breaks."
            )
    labels = parse_labels(text)
    missing = [name for name in (COUNTRIES, PORTS, MODES, STATES, VISAS) if not labels.get(name)]
    if missing:
        raise BadInput(
            f"{uri} has no codes for {', '.join(missing)}: it is empty, cut off or not the published label "
            "file. Upload the whole I94_SAS_Labels_Descriptions.SAS again."
        )
    return labels


def _decode(content: bytes, notes: dict[str, int]) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        notes["labels_read_as_windows_1252"] = sum(map(_is_not_utf8, content.splitlines()))
        return content.decode("windows-1252", errors="replace")


def _is_not_utf8(line: bytes) -> bool:
    return "\ufffd" in line.decode("utf-8", errors="replace")


def parse_labels(text: str) -> Labels:
    """The code tables of a label file's text; of a code that is given twice, the first label counts."""
    labels: Labels = {}
    section: dict[str, str] = {}
    # What begins behind the last end of a comment is no comment: it is not searched for one at each of its /*.
    commented, end, rest = text.rpartition("*/")
    for line in (_COMMENT.sub("", commented + end) + rest).splitlines():
        named = _SECTION.search(line)
        if named:
            section = labels.setdefault(named.group(1).lower(), {})
        for pair in _PAIR.finditer(line, named.end() if named else 0):
            quoted, double_quoted, bare, label, double_label = pair.groups()
            code = next(part for part in (quoted, double_quoted, bare) if part is not None).strip(BLANKS)
            text_of_label = label.replace("''", "'") if label is not None else double_label
            section.setdefault(code, text_of_label.replace("\0", "").strip(BLANKS))
    for comment in _VISA_COMMENT.findall(commented + end):
        labels.setdefault(VISAS, {}).update(_VISA_PAIR.findall(comment))
    return labels


def split_port(label: str, states: Mapping[str, str]) -> tuple[str, str] | None:
    """(city, state) of a port's label, or None where the label says that it is no port.

    The city is what precedes the first comma, in lower case. The state is the last word after that comma which is
    the code of a US state (`HULL FIELD, SUGAR LAND ARPT, TX`), or the code of the state whose name stands there; else
    what follows the last comma, in upper case (`NORTH CAICOS, TURK & CAIMAN`); else `Nil`. A label without a comma is
    split before its last word where that is the code of a US state (`WASHINGTON DC`). Remarks (`#ARPT`, `(BPS)`) are
    left out. `states` are the states' names by their codes.
    """
    if _NO_PORT.match(label):
        return None
    names = {code: name for code, name in states.items() if code.isalpha()}
    city, comma, rest = _REMARK.sub("", label).partition(",")
    if not comma:
        words = city.split()
        if len(words) > 1 and words[-1] in names:
            return " ".join(words[:-1]).lower(), words[-1]
        return " ".join(words).lower(), NIL
    codes = [word for word in re.split(r"[\s,]+", rest) if word in names]
    last = " ".join(rest.rpartition(",")[2].upper().split())
    by_name = {name: code for code, name in names.items()}
    return " ".join(city.lower().split()), (codes[-1] if codes else by_name.get(last, last)) or NIL
