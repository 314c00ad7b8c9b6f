"""Tiny I94 inputs for the tests: a label file with the published one's quirks, and rows by name."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

LABELS = """libname library 'Your file location' ;
proc format library=library ;
/* I94CIT & I94RES - This format shows all the valid and invalid codes for processing */
  value i94cntyl
   582 =  'MEXICO Air Sea, and Not Reported (I-94, no land arrivals)'
   209 =  'JAPAN '
     0 =  'INVALID: STATELESS' ;

  value $i94prtl
   'SEA'\t=\t'SEATTLE, WA           '
   'INT'\t=\t'INT''L FALLS, MN      '           \n   'WAS'\t=\t'WASHINGTON DC         '
   'NAS'\t=\t'NASSAU, BAHAMAS      '
   'AG'\t\t=\t'No PORT Code (AG)'
;
value i94model
\t1 = 'Air'
\t2 = 'Sea'
\t9 = 'Not reported' ;
value i94addrl
\t'WA'='WASHINGTON'
\t'DC'='DIST. OF COLUMBIA'
\t'99'='All Other Codes' ;

/* I94VISA - Visa codes collapsed into three categories:
   1 = Business
   2 = Pleasure
   3 = Student
*/
run ;
"""

APRIL_1 = 20545.0  # 2016-04-01 in SAS days

ROW = {
    "cicid": 1.0,
    "i94yr": 2016.0,
    "i94mon": 4.0,
    "i94cit": 209.0,
    "i94res": 582.0,
    "i94port": "SEA",
    "arrdate": APRIL_1,
    "i94mode": 1.0,
    "i94addr": "WA",
    "depdate": APRIL_1 + 9,
    "i94bir": 61.0,
    "i94visa": 2.0,
    "count": 1.0,
    "dtadfile": "20160401",
    "visapost": None,
    "occup": None,
    "entdepa": "G",
    "entdepd": "O",
    "entdepu": None,
    "matflag": "M",
    "biryear": 1955.0,
    "dtaddto": "06292016",
    "gender": "F",
    "insnum": None,
    "airline": "JL",
    "admnum": 56582674633.0,
    "fltno": "00782",
    "visatype": "WT",
}
COLUMNS = tuple(ROW)
TEXTS = tuple(name for name, value in ROW.items() if not isinstance(value, float))


def write_labels(folder, text=LABELS):
    path = folder / "I94_SAS_Labels_Descriptions.SAS"
    path.write_text(text)
    return path


def write_parquet(folder, *rows, files=1, types=None):
    """`sas_data/` with ROW changed by each of `rows`, spread over `files`; `types` are other types of columns."""
    target = folder / "sas_data"
    target.mkdir(exist_ok=True)
    published = {name: pa.string() if name in TEXTS else pa.float64() for name in COLUMNS}
    schema = pa.schema({**published, **(types or {})})
    whole = [{**ROW, **row} for row in rows]
    for number in range(files):
        pq.write_table(pa.Table.from_pylist(whole[number::files], schema), target / f"part-{number}.parquet")
    return target


def write_csv(folder, *rows, columns=("", *COLUMNS), end="\n", name="immigrationData.csv"):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    lines = [",".join(columns)]
    for number, row in enumerate(rows):
        fields = {"": number, **ROW, **row}
        lines.append(",".join("" if fields[name] is None else str(fields[name]) for name in columns))
    path.write_text("\n".join(lines) + end)
    return path
