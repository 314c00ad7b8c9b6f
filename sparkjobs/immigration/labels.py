"""The code tables of I94_SAS_Labels_Descriptions.SAS, parsed as the source it is.

It is a SAS program: `value name code = 'label' …;` sections (`value $name` where codes are text), tabs and
blanks anywhere, labels padded with blanks, and quotes within them doubled (`'INT''L FALLS, MN'`). The visa
codes stand in a comment alone.
"""

import re

from sparkjobs.reading import told_plainly

COUNTRIES, PORTS, MODES, STATES, VISAS = "i94cntyl", "i94prtl", "i94model", "i94addrl", "i94visa"
NIL = "Nil"

_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_SECTION = re.compile(r"\bvalue\s+\$?\s*(\w+)", re.IGNORECASE)
_PAIR = re.compile(r"""^\s*(?:'([^']*)'|"([^"]*)"|([\w.]+))\s*=\s*(?:'(.*)'|"(.*)")[\s;]*$""")
_VISA_COMMENT = re.compile(r"/\*\s*I94VISA\b(.*?)\*/", re.DOTALL)
_VISA_PAIR = re.compile(r"^\s*(\d+)\s*=\s*(\S.*?)\s*$", re.MULTILINE)


def read_labels(spark, uri):
    """{section: {code: label}} of the label file at `uri`; codes as text, labels without padding.

    Raises ValueError naming the file where it is missing, empty, or lacks a section that the job looks up.
    """
    with told_plainly(uri):
        files = spark.read.text(uri, wholetext=True).collect()
    labels = parse_labels("".join(row[0] for row in files))
    missing = [name for name in (COUNTRIES, PORTS, MODES, STATES, VISAS) if not labels.get(name)]
    if missing:
        raise ValueError(
            f"{uri} has no codes for {', '.join(missing)}: it is empty, cut off or not the published label "
            "file; upload I94_SAS_Labels_Descriptions.SAS again whole."
        )
    return labels


def parse_labels(text):
    """{section: {code: label}}; of a code that is given twice, the first label counts."""
    labels = {}
    section = {}
    for line in _COMMENT.sub("", text).splitlines():
        named = _SECTION.search(line)
        if named:
            section = labels.setdefault(named.group(1).lower(), {})
        pair = _PAIR.match(line)
        if pair:
            quoted, double_quoted, bare, label, double_label = pair.groups()
            code = next(part for part in (quoted, double_quoted, bare) if part is not None).strip()
            text_of_label = label.replace("''", "'") if label is not None else double_label
            section.setdefault(code, text_of_label.strip())
    for comment in _VISA_COMMENT.findall(text):
        labels.setdefault(VISAS, {}).update(_VISA_PAIR.findall(comment))
    return labels


def split_port(label, states):
    """(city, state) of a port's label.

    The city is what precedes the first comma, in lower case; the state is the first word after it, in upper
    case, else `Nil`. A label without a comma that ends in the code of a US state is split there
    (`WASHINGTON DC`), or the port would have no state.
    """
    city, comma, rest = label.partition(",")
    if comma:
        words = re.split(r"[\s,]+", rest.strip(" \t,"))
        return city.strip().lower(), (words[0].upper() or NIL)
    words = label.split()
    if len(words) > 1 and words[-1].isalpha() and words[-1] in states:
        return " ".join(words[:-1]).lower(), words[-1]
    return label.strip().lower(), NIL
