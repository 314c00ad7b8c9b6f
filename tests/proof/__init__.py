"""The leak proof: a clean run's every call, struck by every trouble, and what must hold whatever happened.

`python -m tests.proof` (`make proof`) proves it whole, `--quick` a part of it, `python -m tests.proof.mutants`
(`make proof-mutants`) that it would notice. docs/lifecycle.md tells what is proved.

    troubles      what can befall a call
    plans         which trouble befalls which call, and which pairs of them
    expectations  the colour that a struck run must have, and what it may cost
    proof         the clean walk recorded, and every planned branch judged
    branches      the clean walk, forked at every call
    story         one branch: struck runs, then the world is well again, a retry, passes of the janitor
    janitor       one such pass
    account       what is in the account, by moto's own books
    witness       looks on at the clean walk for what its end does not show
    judgement     what must hold of a story
    safeguards    pieces of the product, and what each becomes in a mutant
    mutants       the product with one safeguard removed, which the proof must miss
    hunt          looks in one mutant for the first thing that does not hold
"""
