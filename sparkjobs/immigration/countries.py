"""Country codes that the arrivals use and the label file does not have.

Citizens of these countries live there, nearly all of them, and the label file's own code for the country (112 GERMANY,
276 SOUTH KOREA, 158 RUSSIA, 264 TURKEY) is nearly absent as a citizenship. Of the arrivals by air of 1, 2, 3 and
7 April 2016, those with the code whose residence (i94res) is that country:

| code | arrivals | reside in | share |
|---|---|---|---|
| 148 | 9,607 | 112 GERMANY | 94.1 % |
| 254 | 5,080 | 276 SOUTH KOREA | 97.6 % |
| 133 | 1,980 | 264 TURKEY | 96.8 % |
| 746 | 1,835 | 158 RUSSIA | 95.9 % |

No arrival of those days has 252. That it is Japan was found in the same way over the whole of April 2016, and agrees
with the file's order, which is the alphabet's: 251 is ISRAEL, 253 JORDAN. The five are 98.5 % of all citizenships
without a label in that month. A code that is left (734, 718, …) has at most a few hundred arrivals.
"""

# The label of the country that a code stands for, as the label file spells it for its other code.
INFERRED = {"148": "GERMANY", "254": "SOUTH KOREA", "252": "JAPAN", "746": "RUSSIA", "133": "TURKEY"}
