"""The leak proof: every call of a fault-free run under every fault, and what must hold whatever happened.

`python -m tests.proof` (`make proof`) runs all of it, `--quick` a part, and `python -m tests.proof.mutants`
(`make proof-mutants`) shows that it kills mutants of the product. docs/lifecycle.md says what is proved.

    faults        what can go wrong at a call
    plans         which call meets which fault, and which pairs of them
    expectations  the colour that a run under a fault must have, and what it may cost
    proof         the baseline recorded, and every planned branch judged
    branches      the baseline, forked at every call
    bad_rows      rows that a check refuses, and whether any was published
    scenario      one branch: runs under a fault, then a healthy world, a retry, and passes of the janitor
    janitor       one such pass
    account       what is in the account, by moto's own books
    observer      observes the baseline for what its end does not show
    judgement     what must hold of a scenario
    safeguards    pieces of the product, and what each becomes in a mutant
    mutants       the product with one safeguard removed, which the proof must kill
    first_breach  looks in one mutant for the first thing that does not hold
"""
