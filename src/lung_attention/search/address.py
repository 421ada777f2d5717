"""The address of the database that holds studies. Without Optuna, whose import takes a second."""

from __future__ import annotations

import os
from pathlib import Path

from lung_attention.errors import UserError

# Names the database where no option does, since an address may hold a password.
STORAGE_VARIABLE = "LUNG_ATTENTION_STORAGE"

SQLITE = "sqlite:///"


def storage_address(given: str | None, default: Path) -> str:
    """The address of a database as SQLAlchemy spells it.

    Args:
        given: By option; None or empty where there is none.
        default: The SQLite file to use where neither option nor environment names a database.

    Raises:
        UserError: It is a path, such as that of a journal, the file in which studies were kept before.
    """
    address = given or os.environ.get(STORAGE_VARIABLE) or f"{SQLITE}{default}"
    if "://" not in address:
        named = without_password(address)
        raise UserError(
            f"storage: expected the address of a database, received {named!r}",
            remedy=f"make search … STORAGE={SQLITE}{Path(named).with_suffix('.db')}",
        )
    return address


def without_password(address: str) -> str:
    """An address as it may be shown, without user and password."""
    return address.rpartition("@")[2]
