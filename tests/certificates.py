"""Certificates of an authority that only these tests know."""

from __future__ import annotations

import ssl
from pathlib import Path

import attrs
import trustme


@attrs.frozen
class Authority:
    """A certificate authority, and where its files go."""

    directory: Path
    ca: trustme.CA = attrs.field(factory=trustme.CA)

    def issue(self, name: str = "server", *hosts: str) -> tuple[str, str]:
        """Write a new certificate of `hosts` (this machine, where there are none) and its key. Returns their paths."""
        issued = self.ca.issue_cert(*(hosts or ("localhost", "127.0.0.1")))
        cert, key = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        key.write_bytes(issued.private_key_pem.bytes())
        return str(cert), str(key)

    def flags(self) -> tuple[str, ...]:
        """Of a server with a new certificate."""
        cert, key = self.issue()
        return ("--tls-cert", cert, "--tls-key", key)

    def file(self) -> str:
        """The authority's own certificate, in a file."""
        path = self.directory / "ca.pem"
        self.ca.cert_pem.write_to_path(str(path))
        return str(path)

    def trust(self) -> ssl.SSLContext:
        """What a client checks with."""
        context = ssl.create_default_context()
        self.ca.configure_trust(context)
        return context
