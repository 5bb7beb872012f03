"""The certificate that a switch keeps."""

import datetime
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509

from trunkline.net.tls import client_context, kept_certificate, self_signed, server_context, write_private


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def handshake(certificate: Path, key: Path, name: str) -> None:
    """Let a client that trusts the certificate meet the server that `name` is; SSLError when it is not."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context(certificate).wrap_bio(to_client, to_server, server_hostname=name)
    server = server_context(certificate, key).wrap_bio(to_server, to_client, server_side=True)
    for end in (client, server, client, server):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue


@pytest.mark.parametrize("host", ["localhost", "192.0.2.7", "switch.example.com", "::1"])
def test_it_is_for_its_host_and_for_loopback_and_kept(tmp_path: Path, host: str) -> None:
    directory = tmp_path / "a" / "b"
    certificate, key = kept_certificate(directory, host)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    for name in ("localhost", "127.0.0.1", "::1", host):
        handshake(certificate, key, name)
    with pytest.raises(ssl.SSLError):
        handshake(certificate, key, "other.example.com")
    made = contents(directory)
    assert set(made) == {"certificate.pem", "key.pem"}
    assert kept_certificate(directory, host) == (certificate, key)
    assert kept_certificate(directory, "127.0.0.1") == (certificate, key)
    assert contents(directory) == made


@pytest.mark.parametrize(
    "spoil", ["expires soon", "other host", "no certificate", "no key", "other key", "garbage", "empty key"]
)
def test_what_will_not_do_is_made_anew(tmp_path: Path, spoil: str) -> None:
    other = tmp_path / "other"
    other.mkdir()
    certificate, key = kept_certificate(tmp_path / "kept")
    match spoil:
        case "expires soon":
            self_signed(tmp_path / "kept", days=7)
        case "other host":
            self_signed(tmp_path / "kept", host="192.0.2.1", days=365)
        case "no certificate":
            certificate.unlink()
        case "no key":
            key.unlink()
        case "other key":
            key.write_bytes(self_signed(other)[1].read_bytes())
        case "garbage":
            certificate.write_bytes(b"\xff\x00")
        case "empty key":
            key.write_bytes(b"")
    spoiled = contents(tmp_path / "kept")
    kept_certificate(tmp_path / "kept", "switch.example.com")
    made = contents(tmp_path / "kept")
    assert made["certificate.pem"] != spoiled.get("certificate.pem")
    handshake(certificate, key, "switch.example.com")
    ends = x509.load_pem_x509_certificate(made["certificate.pem"]).not_valid_after_utc
    left = ends - datetime.datetime.now(datetime.UTC)
    assert 364 <= left.days <= 365


def test_a_key_that_others_can_read_is_closed_to_them(tmp_path: Path) -> None:
    _, key = kept_certificate(tmp_path)
    key.chmod(0o644)
    kept_certificate(tmp_path)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_a_file_is_written_as_a_whole_or_not(tmp_path: Path) -> None:
    target = tmp_path / "token"
    target.mkdir()  # cannot be replaced by a file
    with pytest.raises(OSError, match="token"):
        write_private(target, b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["token"]
