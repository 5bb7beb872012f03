"""TLS contexts for both ends, a certificate for loopback, and which hosts may do without."""

import datetime
import ipaddress
import ssl
from pathlib import Path

from trunkline.errors import FormatError
from trunkline.extras import needs_extra
from trunkline.stream.request import is_loopback

__all__ = ["client_context", "is_loopback", "self_signed", "server_context"]


def server_context(certificate: str | Path, key: str | Path) -> ssl.SSLContext:
    """Load a server's certificate chain and private key (PEM files)."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        raise FormatError(f"{certificate} and {key} are no certificate (PEM) and its key: {error}") from error
    return context


def client_context(ca_file: str | Path | None = None) -> ssl.SSLContext:
    """Trust `ca_file` (PEM) instead of the system's authorities, where it is given."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError as error:
        raise FormatError(f"{ca_file} holds no certificate (PEM): {error}") from error


def self_signed(directory: str | Path) -> tuple[Path, Path]:
    """Make a certificate for localhost, 127.0.0.1 and ::1, valid for a day.

    Returns the paths of the certificate (its own CA) and of its key, both PEM, in `directory`; only
    the owner may read the key.
    """
    with needs_extra("server"):
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "trunkline loopback")])
    now = datetime.datetime.now(datetime.UTC)
    hosts = [
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        x509.IPAddress(ipaddress.ip_address("::1")),
    ]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_path, key_path = Path(directory) / "certificate.pem", Path(directory) / "key.pem"
    certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path.touch(mode=0o600)
    key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate_path, key_path
