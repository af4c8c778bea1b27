"""The cluster's certificates and kubeconfigs, new for every run."""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import json
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_Key = ec.EllipticCurvePrivateKey
_DAY = dt.timedelta(days=1)


class Pki:
    """A certificate authority and the certificates that it signed, as files in a folder."""

    def __init__(self, folder: Path, server: str) -> None:
        """`server` is the API server's address, as in its URL."""
        self.folder, self._server = folder, server
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pairsim-test-cluster")])
        authority = (
            self._builder(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.ca = self._write("ca.crt", authority.public_bytes(serialization.Encoding.PEM))
        accounts = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.accounts_key = self._write("accounts.key", _pem(accounts))
        public = accounts.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.accounts_public = self._write("accounts.pub", public)

    def pair(self, file: str, name: str, group: str, hosts: tuple[str, ...] = ()) -> tuple[Path, Path]:
        """Returns a signed certificate and its key, for a client that is also a server at `hosts`."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name(
            [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group), x509.NameAttribute(NameOID.COMMON_NAME, name)]
        )
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        builder = self._builder(subject, key).add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        if hosts:
            names = [_general(host) for host in hosts]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        return (
            self._write(f"{file}.crt", certificate.public_bytes(serialization.Encoding.PEM)),
            self._write(f"{file}.key", _pem(key)),
        )

    def kubeconfig(self, file: str, name: str, group: str) -> Path:
        """Returns a kubeconfig file with the credentials of a user or a component."""
        certificate, key = self.pair(file, name, group)
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": "test", "cluster": {"server": self._server, "certificate-authority-data": _data(self.ca)}}
            ],
            "users": [
                {"name": name, "user": {"client-certificate-data": _data(certificate), "client-key-data": _data(key)}}
            ],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": name}}],
            "current-context": "test",
        }
        return self._write(f"{file}.kubeconfig", json.dumps(document).encode())

    def _builder(self, subject: x509.Name, key: _Key) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + 30 * _DAY)
        )

    def _write(self, file: str, data: bytes) -> Path:
        path = self.folder / file
        path.touch(mode=0o600)
        path.write_bytes(data)
        return path


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(key: _Key | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def _data(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
