"""A certificate authority that lives as long as the simulator."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from pathlib import Path

import trustme

LOOPBACK_NAMES = ("localhost", "127.0.0.1")


def serve_tls(hosts: Iterable[str], ca_dir: Path) -> tuple[ssl.SSLContext, Path]:
    """Make a CA and a server certificate for *hosts*; write the CA's certificate to ``ca.pem`` and nothing else.

    Raises:
        OSError: the directory cannot be written.
    """
    authority = trustme.CA(organization_name="Sovereign Node simulator")
    certificate = authority.issue_cert(*hosts, *LOOPBACK_NAMES)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    certificate.configure_cert(context)
    ca_dir.mkdir(parents=True, exist_ok=True)
    path = ca_dir / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return context, path.absolute()
