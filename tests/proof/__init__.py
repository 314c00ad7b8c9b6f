"""The leak proof: a clean run's every call, struck by every trouble, and what must hold whatever happened.

`python -m tests.proof` (`make proof`) proves it whole, `--quick` a part of it, `python -m tests.proof.mutants`
(`make proof-mutants`) that it would notice. docs/lifecycle.md tells what is proved.

    troubles    what can befall a call
    account     what is in the account, by moto's own books
    story       one branch: struck runs, then the world is well again, a retry, a pass of the janitor
    judgement   what must hold of a story
    branches    the clean walk, forked at every call
    mutants     the product with one safeguard removed, which the judgement must notice
"""
