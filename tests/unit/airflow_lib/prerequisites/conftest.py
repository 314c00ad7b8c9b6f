from __future__ import annotations

from collections.abc import Iterator

import pytest

from .account import Account, open_account


@pytest.fixture
def account() -> Iterator[Account]:
    with open_account() as account:
        yield account
