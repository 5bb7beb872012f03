"""TLS contexts for both ends, a certificate for loopback, and which hosts may do without."""

import datetime
import ipaddress
import os
import ssl
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.errors import FormatError
from trunkline.extras import needs_extra
from trunkline.stream.request import is_loopback

if TYPE_CHECKING:
    from cryptography import x509

__all__ = [
    "client_context",
    "is_loopback",
    "kept_certificate",
    "self_signed",
    "server_context",
    "write_private",
]

CERTIFICATE: Final = "certificate.pem"
KEY: Final = "key.pem"
KEPT_DAYS: Final = 365
RENEWED_DAYS: Final = 7  # before the end


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


def kept_certificate(directory: str | Path, host: str = "localhost") -> tuple[Path, Path]:
    """Give the certificate that `self_signed` has made in `directory`, which is made when it is not there.

    It is valid for a year, also for `host`. It is made anew, with another key, a week before it ends, when it
    is not for `host`, and when it is no certificate or the key not its own. Raises OSError when the directory
    cannot be written.
    """
    with needs_extra("server"):
        from cryptography import x509
    certificate, key = Path(directory) / CERTIFICATE, Path(directory) / KEY
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=RENEWED_DAYS)
    try:
        kept = x509.load_pem_x509_certificate(certificate.read_bytes())
        names = kept.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        server_context(certificate, key)
        if kept.not_valid_after_utc > soon and _name(host) in names:
            key.chmod(0o600)
            return certificate, key
    except (FileNotFoundError, ValueError, x509.ExtensionNotFound):  # FormatError is a ValueError
        pass
    Path(directory).mkdir(mode=0o700, parents=True, exist_ok=True)
    return self_signed(directory, host=host, days=KEPT_DAYS)


def self_signed(directory: str | Path, *, host: str = "localhost", days: int = 1) -> tuple[Path, Path]:
    """Make a certificate for localhost, 127.0.0.1, ::1 and `host`, valid for some days.

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
    hosts = [_name(name) for name in dict.fromkeys(["localhost", "127.0.0.1", "::1", host])]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    certificate_path, key_path = Path(directory) / CERTIFICATE, Path(directory) / KEY
    write_private(key_path, private)
    write_private(certificate_path, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)
    return certificate_path, key_path


def write_private(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write a file that has its `mode` from the start, and is there as a whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
        try:
            file.write(data)
            file.flush()
            os.chmod(file.name, mode)
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise


def _name(host: str) -> "x509.GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
