"""Targets: no stranger's URL leads into the server's own network, however it is spelt and looked up."""

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from tests.net.addresses import NEAR, V4, ipv4_spellings, is_public, reference_ipv4
from tests.net.endpoints import run
from tests.net.hosts import Answers, Fails, Listener
from trunkline.errors import FormatError, RemoteProtocolError, TargetRefusedError
from trunkline.net.addresses import parse_host
from trunkline.net.targets import RESOLVE_TIMEOUT_S, Target, Targets
from trunkline.net.tls import client_context, self_signed, server_context
from trunkline.testing.virtual_time import run_in_virtual_time

PUBLIC = "93.184.215.14"


async def get(target: Target) -> int:
    async with target.session() as session, session.get(target.url) as response:
        return response.status


@given(ipv4_spellings(), st.booleans(), st.booleans())
def test_a_url_goes_where_its_spelling_says_or_nowhere(text: str, dot: bool, full_width: bool) -> None:
    address = IPv4Address(reference_ipv4(text) or 0)
    if full_width:
        text = text.translate({48 + k: 0xFF10 + k for k in range(10)})
    url = f"http://{text}{'.' if dot else ''}:81/"
    if is_public(address):
        target = run(Targets().resolve(url))
        assert (target.addresses, str(target.url)) == ((str(address),), f"http://{address}:81/")
    else:
        with pytest.raises(TargetRefusedError):
            run(Targets().resolve(url))


LOOPBACKS = [
    *("127.0.0.1", "127.1", "127.0.1", "0x7f.1", "0x7f000001", "2130706433", "017700000001", "0177.0.0.01"),
    *("127.0.0.1.", "127.000.000.001", "[::1]", "[0::1]", "[::ffff:127.0.0.1]", "[::FFFF:7f00:1]"),
    *("localhost", "localhost.", "LOCALHOST", "a.localhost", "\u217cocalhost"),
    *("\uff11\uff12\uff17.0.0.1", "127\u30020\u30020\u30021", "\u2460\u2461\u2466.1"),
]
NO_HOSTS = [
    *("127%2e0%2e0%2e1", "%31%32%37.0.0.1", "loc%61lhost", "[::1%25lo]", "[::1%lo]", "[fe80::1%25eth0]"),
    *(
        "127.0.0.1..",
        "localhost..",
        "1.2.3.4.5",
        "256.0.0.1",
        "0x",
        "08",
        "4294967296",
        "[127.0.0.1]",
        "[::1",
    ),
    *(
        "..",
        "a..b",
        "127.0.0.1\\@example.com",
        "a@127.0.0.1",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:x",
    ),
    *("a,b", "a b", "127.0.0.1\0", "\u0661\u0662\u0667.0.0.1\u202e"),
]


@pytest.mark.parametrize("host", LOOPBACKS)
def test_every_spelling_of_loopback_is_seen(host: str) -> None:
    async def main() -> None:
        async with Listener().listening() as listener:
            url = f"http://{host}:{listener.port}/"
            with pytest.raises(TargetRefusedError, match=r"loopback address: list the host, or its network"):
                await Targets().resolve(url)
            target = await Targets.for_bind("127.0.0.1").resolve(url)
            assert {*target.addresses} <= {"127.0.0.1", "::1"}
            if "127.0.0.1" in target.addresses:  # where the listener is
                assert await get(target) == 200
                assert listener.n_connections == 1

    run(main())


@pytest.mark.parametrize("host", ["0", "00.0x0", "[::]", "0x0.0", "[::ffff:0:0]"])
def test_the_unspecified_address_is_never_loopback(host: str) -> None:
    with pytest.raises(TargetRefusedError, match="the unspecified address"):
        run(Targets.for_bind("127.0.0.1").resolve(f"http://{host}/"))


@pytest.mark.parametrize("host", NO_HOSTS)
def test_what_is_no_host_is_refused(host: str) -> None:
    resolver = Answers(["127.0.0.1"])
    with pytest.raises(FormatError):
        run(Targets.for_bind("localhost", resolver=resolver).resolve(f"http://{host}/"))
    assert not resolver.asked


@pytest.mark.parametrize(
    "url", ["", "x", "//a/", "ftp://a/", "file:///etc/passwd", "http:///a", "http://", "http:a", "wss://a/"]
)
def test_what_is_no_url_of_the_schemes_is_refused(url: str) -> None:
    with pytest.raises(FormatError, match=r"takes https://HOST\[:PORT\]/PATH or http://"):
        run(Targets(resolver=Answers([PUBLIC])).resolve(url))
    assert run(Targets(resolver=Answers([PUBLIC])).resolve("wss://a/", schemes=("wss",))).url.port == 443


def test_long_hosts_cost_nothing() -> None:
    """IDNA takes seconds for 65,000 letters: the length is checked before."""
    for url, numbers in [
        (f"http://{'ü' * 65_000}/", "65008 .* 65000"),
        (f"http://a/{'a' * 65_530}", "65539 .* 1"),
        (f"http://{'a' * 321}?/", "330 .* 321"),
        (f"http:/\t/{'ü' * 65_000}/", "control character"),
    ]:
        with pytest.raises(FormatError, match=numbers):
            run(Targets().resolve(url))
    with pytest.raises(FormatError, match="no host"):
        run(Targets().resolve(f"http://{'a.' * 127}a/"))
    with pytest.raises(FormatError, match="no host"):
        run(Targets().resolve(f"http://{'a' * 64}/"))


# --- policy ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allowed", "let_in", "kept_out"),
    [
        (["10.1.0.0/16"], ["10.1.255.255", "::ffff:10.1.2.3"], ["10.2.0.0", "127.0.0.1", "64:ff9b::a01:203"]),
        (["10.0.0.1"], ["10.0.0.1"], ["10.0.0.2"]),
        (["fc00::/7"], ["fd00::1"], ["fe80::1", "::1"]),
        (["::1"], ["::1"], ["127.0.0.1"]),
        ([], [PUBLIC, "2606:2800:220:1::1"], ["10.0.0.1", "::1"]),
    ],
)
def test_networks_that_are_listed(allowed: list[str], let_in: list[str], kept_out: list[str]) -> None:
    for address in let_in:
        targets = Targets(allowed, resolver=Answers([address]))
        assert run(targets.resolve("https://name.example/")).addresses == (str(parse_host(address)),)
    for address in kept_out:
        targets = Targets(allowed, resolver=Answers([address]))
        with pytest.raises(TargetRefusedError, match=r"'name\.example' leads to"):
            run(targets.resolve("https://name.example/"))


@pytest.mark.parametrize("entry", ["Media.Internal", "media.internal.", "media.internal"])
def test_a_name_that_is_listed_may_lead_anywhere(entry: str) -> None:
    targets = Targets([entry], resolver=Answers(["10.0.0.1"]))
    for host in ("media.internal", "MEDIA.internal."):
        assert run(targets.resolve(f"http://{host}/")).addresses == ("10.0.0.1",)
    for host in ("x.media.internal", "internal", "media.internal.example", "10.0.0.1"):
        with pytest.raises(TargetRefusedError):
            run(targets.resolve(f"http://{host}/"))


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "10.0.0.1/8",
        "10.0.0.0/33",
        "a/b",
        "a:80",
        "http://a",
        "*.a",
        "0x7f.1",
        "a?",
        "a#",
        "a@b",
        "ü" * 400,
    ],
)
def test_entries_that_say_nothing_are_refused(entry: str) -> None:
    with pytest.raises(FormatError, match="allowed target"):
        Targets([entry])


@pytest.mark.parametrize(("host", "n_networks"), [("::1", 2), ("localhost", 2), ("0.0.0.0", 0), ("", 0)])  # noqa: S104
def test_only_a_server_on_loopback_reaches_loopback(host: str, n_networks: int) -> None:
    targets = Targets.for_bind(host)
    assert repr(targets) == repr(Targets(["127.0.0.0/8", "::1/128"][:n_networks]))


@given(st.lists(V4 | NEAR, min_size=1, max_size=5))
def test_one_address_that_is_refused_refuses_the_name(
    addresses: list[IPv4Address | IPv6Address],
) -> None:
    targets = Targets(resolver=Answers([str(address) for address in addresses]))
    if all(map(is_public, addresses)):
        found = run(targets.resolve("http://a.example/")).addresses
        assert found == tuple(dict.fromkeys(str(parse_host(str(address))) for address in addresses))
    else:
        with pytest.raises(TargetRefusedError):
            run(targets.resolve("http://a.example/"))


# --- connecting ------------------------------------------------------------------------------------------


def test_a_second_answer_changes_nothing() -> None:
    """127.0.0.2 stands for what is public; the second answer leads to 127.0.0.1, at the same port."""

    async def main() -> None:
        async with (
            Listener().listening(host="127.0.0.2") as public,
            Listener().listening(port=public.port) as loopback,
        ):
            resolver = Answers(["127.0.0.2"], ["127.0.0.1"])
            targets = Targets(["127.0.0.2"], resolver=resolver)
            target = await targets.resolve(f"http://rebind.example:{public.port}/")
            for _ in range(3):
                assert await get(target) == 200
            assert resolver.asked == ["rebind.example"]
            with pytest.raises(TargetRefusedError):  # and the second answer is seen for what it is
                await targets.resolve(str(target.url))
            assert (public.n_connections, loopback.n_connections) == (3, 0)

    run(main())


def test_a_session_connects_to_what_was_checked_and_nowhere_else() -> None:
    async def main() -> None:
        async with Listener().listening() as checked, Listener().listening() as other:
            resolver = Answers(["127.0.0.1"])
            targets = Targets(["a.example"], resolver=resolver)
            target = await targets.resolve(f"http://a.example:{checked.port}/")
            elsewhere = [
                f"http://a.example:{other.port}/",
                f"http://127.0.0.1:{other.port}/",
                f"http://127.0.0.2:{checked.port}/",
                f"http://0:{checked.port}/",
                f"http://localhost:{checked.port}/",
                f"http://[::1]:{checked.port}/",
            ]
            async with target.session() as session:
                for url in elsewhere:
                    with pytest.raises(aiohttp.ClientError):
                        await session.get(url)
                assert (await session.get(target.url)).status == 200
            assert (checked.n_connections, other.n_connections) == (1, 0)
            assert resolver.asked == ["a.example"]

    run(main())


def test_the_host_header_is_the_name_and_nothing_is_remembered() -> None:
    async def main() -> None:
        listener = Listener(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 0\r\n\r\n")
        async with listener.listening():
            targets = Targets(["A.example"], resolver=Answers(["127.0.0.1"]))
            target = await targets.resolve(f"http://A.Example:{listener.port}/x?y=%2B#z")
            assert str(target.url) == f"http://a.example:{listener.port}/x?y=%2B"
            async with target.session() as session:
                for _ in range(2):
                    assert (await session.get(target.url)).status == 200
            assert listener.n_connections == 2
            for head in listener.heads:
                assert head.startswith("GET /x?y=%2B HTTP/1.1\r\n")
                assert f"Host: a.example:{listener.port}\r\n" in head
                assert "cookie" not in head.lower()
                assert "Connection: close\r\n" in head

    run(main())


def test_tls_is_asked_for_by_the_name(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)

    async def main() -> None:
        names: list[str | None] = []
        context = server_context(certificate, key)
        context.sni_callback = lambda _, name, __: names.append(name)
        async with Listener().listening(context) as listener:
            resolver = Answers(["127.0.0.1"])
            for host, trusted in (("localhost", True), ("other.example", False)):
                targets = Targets([host], resolver=resolver)
                target = await targets.resolve(f"https://{host}:{listener.port}/")
                async with target.session() as session:
                    request = session.get(target.url, ssl=client_context(certificate))
                    if trusted:
                        assert (await request).status == 200
                    else:  # the certificate is for localhost, whatever the address
                        with pytest.raises(aiohttp.ClientConnectorCertificateError):
                            await request
        assert names == ["localhost", "other.example"]

    run(main())


@pytest.mark.parametrize("where", ["same", "other"])
def test_redirects_are_refused(where: str) -> None:
    async def main() -> None:
        async with Listener().listening() as other:
            listener = Listener()
            async with listener.listening():
                port = listener.port if where == "same" else other.port
                location = f"Location: http://127.0.0.1:{port}/\r\nContent-Length: 0\r\n\r\n"
                listener.response = f"HTTP/1.1 302 Found\r\n{location}".encode()
                target = await Targets.for_bind("127.0.0.1").resolve(f"http://127.0.0.1:{listener.port}/")
                for method in ("get", "ws_connect"):
                    async with target.session() as session:
                        with pytest.raises(RemoteProtocolError, match="redirects"):
                            await getattr(session, method)(target.url)
                assert (listener.n_connections, other.n_connections) == (2, 0)

    run(main())


def test_a_websocket_goes_through_the_guard() -> None:
    async def echo(request: web.Request) -> web.WebSocketResponse:
        server_end = web.WebSocketResponse()
        await server_end.prepare(request)
        await server_end.send_str(request.headers["Host"])
        return server_end

    async def main() -> None:
        app = web.Application()
        app.router.add_get("/", echo)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        targets = Targets(["127.0.0.1"], resolver=Answers(["127.0.0.1"]))
        target = await targets.resolve(f"ws://stream.example:{port}/", schemes=("ws",))
        async with target.session() as session, session.ws_connect(target.url) as client_end:
            assert await client_end.receive_str() == f"stream.example:{port}"
        await runner.cleanup()

    run(main())


# --- look-ups that fail ----------------------------------------------------------------------------------


def test_look_ups_that_fail_are_os_errors_and_keep_the_secret_part_of_the_url() -> None:
    url = "https://user-less.example/canary-path?token=canary"
    for resolver, error, text in [
        (Fails(socket.gaierror(-2, "Name or service not known")), OSError, "Name or service not known"),
        (Answers([]), OSError, "'user-less.example' has no address"),
        (Answers(["fe80::1%eth0"]), TargetRefusedError, "a link-local address"),
        (Answers(["10.0.0.1"]), TargetRefusedError, "a private address"),
    ]:
        with pytest.raises(error, match=text) as raised:
            run(Targets(resolver=resolver).resolve(url))
        assert "user-less.example" in str(raised.value)
        assert "canary" not in repr(raised.value)
        assert raised.value.__cause__ is None
    for bad in ("http://a:x/?canary", "ftp://a/?canary", "http://canary:canary@a/", "http://[::1/?canary"):
        with pytest.raises(FormatError) as refused:
            run(Targets().resolve(bad))
        assert "canary" not in repr(refused.value)
    assert "canary" not in repr(run(Targets(resolver=Answers([PUBLIC])).resolve(url)))


def test_a_look_up_that_hangs_is_given_up() -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError, match=r"'a\.example' was not looked up within 2 s"):
            await Targets(resolver=Fails(None)).resolve("http://a.example/")
        assert asyncio.get_running_loop().time() == RESOLVE_TIMEOUT_S

    run_in_virtual_time(main())
