"""A certificate authority made for one test, and servers with its certificates."""

import datetime as dt
import ipaddress
import pathlib
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)
SIGNS = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


class Authority:
    """A certificate authority made for one test."""

    def __init__(self, folder: pathlib.Path, name: str) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = _name(name)
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        certificate = self._builder(self.name, self.key, NOW - DAY, NOW + DAY).add_extension(constraints, critical=True)
        identifier = x509.SubjectKeyIdentifier.from_public_key(self.key.public_key())  # Python 3.13 asks for all three
        certificate = certificate.add_extension(identifier, critical=False).add_extension(SIGNS, critical=True)
        self.file = folder / f"{name}.pem"
        signed = certificate.sign(self.key, hashes.SHA256())
        self.file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, begins: dt.datetime, ends: dt.datetime
    ) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        return builder.not_valid_before(begins).not_valid_after(ends)

    def server(self, host: str, *, begins: dt.datetime = NOW - DAY, ends: dt.datetime = NOW + DAY) -> ssl.SSLContext:
        """Return the context of a server with a certificate for the address or name."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([_general_name(host)])
        certificate = self._builder(_name("server"), key, begins, ends).add_extension(names, critical=False)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        certificate = certificate.add_extension(identifier, critical=False)
        pem = certificate.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        encoding, layout = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        pem += key.private_bytes(encoding, layout, serialization.NoEncryption())
        path = self.folder / "server.pem"
        path.write_bytes(pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context
