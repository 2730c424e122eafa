"""TLS certificates with their keys: loaded without ever asking a terminal for a passphrase."""

from __future__ import annotations

import ssl
from pathlib import Path

from node.plain_files import must_be_regular


def load_key_pair(context: ssl.SSLContext, cert_file: Path, key_file: Path | None) -> None:
    """Let a context show this certificate.

    Left alone, OpenSSL asks the terminal for the passphrase of an encrypted key, and the whole process waits until
    somebody types it.

    Raises:
        OSError: a file cannot be read or used (``ssl.SSLError`` is one), or the key is encrypted.
    """
    must_be_regular(cert_file, key_file)
    context.load_cert_chain(cert_file, key_file, password=_no_passphrase)


def check_key_pair(cert_file: Path, key_file: Path | None) -> None:
    """Say whether a certificate and its key can be used.

    Raises:
        OSError: as ``load_key_pair``.
    """
    load_key_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), cert_file, key_file)


def _no_passphrase() -> str:
    raise OSError("the key is encrypted, and there is nobody to ask for its passphrase")
