"""A certificate authority that lives as long as the simulator."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from pathlib import Path

import trustme

LOOPBACK_NAMES = ("localhost", "127.0.0.1")


def serve_tls(hosts: Iterable[str], ca_dir: Path) -> tuple[ssl.SSLContext, Path]:
    """Make a server certificate for *hosts*; the CA is kept in *ca_dir*, so that who trusts it outlives a restart.

    Raises:
        OSError: the directory cannot be written.
    """
    ca_dir.mkdir(parents=True, exist_ok=True)
    authority = _authority(ca_dir / "ca.pem", ca_dir / "ca.key")
    certificate = authority.issue_cert(*hosts, *LOOPBACK_NAMES)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    certificate.configure_cert(context)
    return context, (ca_dir / "ca.pem").absolute()


def _authority(certificate: Path, key: Path) -> trustme.CA:
    if certificate.exists() and key.exists():
        return trustme.CA.from_pem(certificate.read_bytes(), key.read_bytes())
    authority = trustme.CA(organization_name="Sovereign Node simulator")
    key.unlink(missing_ok=True)
    key.touch(mode=0o600)
    authority.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(certificate)
    return authority
