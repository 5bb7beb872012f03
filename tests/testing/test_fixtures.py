"""The pytest fixtures as a user has them: in a directory and a session of pytest of their own.

The guide's examples have a process of their own too; to start one takes longer than what the others test.
"""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

GUIDE = Path(__file__).parents[2] / "docs" / "testing.md"
CONFTEST = 'pytest_plugins = ["trunkline.testing.fixtures"]'
STRICT = ("-p", "no:cacheprovider", "-p", "no:asyncio", "-p", "no:anyio", "-W", "error")


def run_pytest(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return pytester.runpytest_inprocess(*arguments)


def test_the_examples_of_the_guide(pytester: pytest.Pytester) -> None:
    files = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", GUIDE.read_text(), re.S))
    assert set(files) == {"conftest.py", "receiver.py", "test_receiver.py", "test_sender.py", "test_plain.py"}
    for name, text in files.items():
        pytester.path.joinpath(name).write_text(text)
    result = pytester.runpytest_subprocess(*STRICT, "--strict-markers", "--durations=0", timeout=200)
    result.assert_outcomes(passed=4)
    [minute_s] = [
        float(line.split("s")[0]) for line in result.outlines if "call" in line and "no_minute" in line
    ]
    assert minute_s < 60


def test_a_failing_test_fails_and_leaves_nothing_behind(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(
        """
        import asyncio
        import pytest

        class TestCalls:
            @pytest.mark.parametrize("codec", ["PCMU", "no-codec"])
            async def test_codec(self, codec, call, media_endpoint, greeting="hello"):
                assert greeting == "hello"
                await call.stream(media_endpoint.url, codec=codec)
                asyncio.create_task(asyncio.sleep(3600))

        async def test_fails(call, media_endpoint):
            await call.answer()
            await call.stream(media_endpoint.url)
            assert call.state == "ended"

        async def test_times_out(media_endpoint):
            with pytest.raises(TimeoutError, match="nothing has come for 0.01 s"):
                await media_endpoint.received(quiet_s=0.01)
        """
    )
    result = run_pytest(pytester, *STRICT)
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(["*FormatError: codec: *", "*assert 'answered' == 'ended'*"])


def test_a_stream_that_ends_in_disorder_is_kept_as_it_came(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(
        """
        import aiohttp
        import pytest
        from trunkline.stream import StreamSender

        pytestmark = pytest.mark.virtual_time

        async def test_no_stop(media_endpoint):
            sender = StreamSender("PCMU")
            messages = [*sender.start(), *sender.media(bytes(6400)), *sender.mark("m")]
            async with aiohttp.ClientSession() as http, http.ws_connect(media_endpoint.url) as socket:
                for message in messages:
                    await socket.send_str(message.decode())
            stream = await media_endpoint.received()
            assert media_endpoint.streams == [stream]
            assert not stream.stopped
            assert "close code" in str(stream.error)
            assert len(stream.pcm()) == 6400
            assert stream.frames("outbound") == []
            assert stream.marks == ["m"]
        """
    )
    run_pytest(pytester, *STRICT).assert_outcomes(passed=1)


@pytest.mark.parametrize("mark", ["asyncio", "anyio"])
def test_a_test_of_another_loop_is_refused(pytester: pytest.Pytester, mark: str) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makeini(f"[pytest]\nmarkers = {mark}: of another plugin")
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.mark.{mark}
        async def test_of_two_loops(call): pass
        """
    )
    result = run_pytest(pytester, "-p", "no:cacheprovider")
    assert "errors" in result.parseoutcomes()
    assert "passed" not in result.parseoutcomes()
    result.stdout.fnmatch_lines([f"*loop of their own, and `{mark}` runs this test on another*"])


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_beside_pytest_asyncio(pytester: pytest.Pytester, mode: str) -> None:
    if importlib.util.find_spec("pytest_asyncio") is None:
        pytest.skip("pytest-asyncio is not installed")
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(
        """
        import asyncio
        import pytest

        async def test_ours(call):
            await call.hangup()

        @pytest.mark.asyncio
        async def test_theirs():
            await asyncio.sleep(0)

        def test_plain(call, call_loop):
            call_loop.run(call.hangup())
        """
    )
    result = run_pytest(pytester, "-p", "no:cacheprovider", "-o", f"asyncio_mode={mode}")
    result.assert_outcomes(passed=3 if mode == "strict" else 2, errors=0 if mode == "strict" else 1)


def test_who_does_not_ask_gets_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_call(call): pass")
    result = run_pytest(pytester, "-p", "no:cacheprovider")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'call' not found*"])
    code = "import sys, trunkline.testing; print({'pytest', 'aiohttp', 'asyncio'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "set()"
