"""Keys of issuers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from node.commands.output import ExitStatus, Output, Trouble
from node.domain.command import OPERATOR

#: As in the configuration: safe in topics.
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def new(issuer: str, out: Path, output: Output) -> ExitStatus:
    """Make a key pair: the private half into a new file, the public half to be put into the configuration.

    Raises:
        Trouble: the id is unusable, or the file is there already or cannot be written.
    """
    from node.transport.issuer_key import IssuerKey

    if not _ID.fullmatch(issuer) or issuer == OPERATOR:
        raise Trouble("USAGE", f"{issuer!r} cannot be an issuer's id: letters, digits, dots, dashes; not {OPERATOR!r}")
    key = IssuerKey.generate(issuer)
    try:
        key.save(out)
    except FileExistsError:
        raise Trouble("EXISTS", f"{out} is there already: a key is never overwritten") from None
    except OSError as error:
        raise Trouble("FILE", f"{out}: {error.strerror}") from None
    document = {"id": issuer, "public_key": key.public_key}
    text = f'[[issuers]]\nid = "{issuer}"\npublic_key = "{key.public_key}"\nactions = ["LOCK", "CLOSE_ALL", "FLATTEN"]'
    output.result(document, f'{text}\naccounts = ["*"]')
    return ExitStatus.DONE
