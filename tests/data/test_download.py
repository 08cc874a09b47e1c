import gzip
import random
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from stn_bench.data import download
from stn_bench.data.download import NotServedError, SourceError, download_gz, run_watched

CONTENT = bytes(range(256)) * 40
IDLE_SECONDS = 0.3


@pytest.fixture
def web():
    """A web server on this machine: `pages` by path, of which those in `stalling` come by half, then nothing.

    Those in `encoded` are said to be packed for the way alone, so that clients unpack them.
    """
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = server.pages.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            if self.path in server.encoded:
                self.send_header("Content-Encoding", "gzip")
            self.end_headers()
            if self.path in server.stalling:
                self.wfile.write(body[: len(body) // 2])
                self.wfile.flush()
                over.wait(20)
            elif body:
                self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.pages, server.stalling, server.encoded = {}, set(), set()
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    over.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def ticking(tmp_path):
    """A shell command that starts a process which writes to a file for ever, and whether it does so still."""
    ticks = tmp_path / "ticks"
    work = tmp_path / "work"
    work.mkdir()

    def is_alive():
        before = ticks.stat().st_size
        time.sleep(0.2)
        return ticks.stat().st_size > before

    return f"(while :; do echo >> {ticks}; sleep 0.02; done) & wait", work, is_alive


def test_a_gz_file_is_downloaded_and_unpacked(web):
    web.pages["/file.gz"] = gzip.compress(CONTENT)
    assert download_gz(f"{web.url}/file.gz", len(CONTENT)) == CONTENT


def test_a_gz_file_that_the_client_unpacked_is_what_it_holds(web):
    web.pages["/file.gz"] = gzip.compress(CONTENT)
    web.encoded.add("/file.gz")
    assert download_gz(f"{web.url}/file.gz", len(CONTENT)) == CONTENT


def test_a_file_that_is_too_long_is_cut_one_byte_after_its_size(web):
    web.pages["/file.gz"] = gzip.compress(CONTENT)
    assert download_gz(f"{web.url}/file.gz", 100) == CONTENT[:101]


def test_a_file_that_the_server_does_not_have_is_not_served(web):
    with pytest.raises(NotServedError, match="404"):
        download_gz(f"{web.url}/file.gz", len(CONTENT))


@pytest.mark.parametrize(
    "body",
    [b"<html>log in to this network</html>", gzip.compress(CONTENT)[:-20], gzip.compress(CONTENT)[:20] + bytes(200)],
    ids=["page", "cut", "damaged"],
)
def test_what_is_no_whole_gz_file_is_not_served(web, body):
    web.pages["/file.gz"] = body
    with pytest.raises(NotServedError, match="not a whole gz file"):
        download_gz(f"{web.url}/file.gz", len(CONTENT))


def test_a_file_is_not_downloaded_further_than_it_can_be_long(web):
    web.pages["/file.gz"] = gzip.compress(CONTENT) + bytes(2**20)  # zeros at the end of a gz file are no fault of it
    with pytest.raises(NotServedError, match="packed, it is longer than the"):
        download_gz(f"{web.url}/file.gz", len(CONTENT))


def test_a_file_that_packing_makes_no_shorter_is_downloaded(web):
    noise = random.Random(1).randbytes(2**20)
    web.pages["/file.gz"] = gzip.compress(noise, compresslevel=0)
    assert download_gz(f"{web.url}/file.gz", len(noise)) == noise


def test_a_server_that_falls_silent_is_left(web):
    web.pages["/file.gz"] = gzip.compress(CONTENT)
    web.stalling.add("/file.gz")
    with pytest.raises(SourceError, match="timed out") as caught:
        download_gz(f"{web.url}/file.gz", len(CONTENT), IDLE_SECONDS)
    assert not isinstance(caught.value, NotServedError)


def test_a_server_that_cannot_be_reached_is_left_with_a_short_reason():
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # a port on which nobody listens
        with pytest.raises(SourceError, match=r"^\[Errno \d+\] Connection refused$") as caught:
            download_gz(f"http://127.0.0.1:{nobody.getsockname()[1]}/file.gz", len(CONTENT))
    assert not isinstance(caught.value, NotServedError)


def test_a_command_runs_in_its_folder_with_its_temporary_files_there(tmp_path):
    run_watched(["sh", "-c", 'echo "$TMPDIR" > "$PWD/told"'], tmp_path)
    assert (tmp_path / "told").read_text().strip() == str(tmp_path)


def test_a_failing_command_is_quoted(tmp_path):
    with pytest.raises(SourceError, match=r"^client error: no such package$"):
        run_watched(["sh", "-c", "echo looking; echo client error: no such package >&2; echo bye; exit 3"], tmp_path)


def test_a_failing_command_that_speaks_of_no_error_is_quoted_by_its_last_line(tmp_path):
    with pytest.raises(SourceError, match=r"^gave up$"):
        run_watched(["sh", "-c", "echo looking; echo gave up; exit 3"], tmp_path)


def test_a_command_that_fails_in_silence_is_reported_by_its_code(tmp_path):
    with pytest.raises(SourceError, match="code 3"):
        run_watched(["sh", "-c", "exit 3"], tmp_path)


def test_a_command_that_does_not_exist_is_reported(tmp_path):
    with pytest.raises(SourceError, match="no-such-client cannot be started"):
        run_watched(["no-such-client"], tmp_path)


def test_a_slow_command_is_not_left_while_bytes_arrive(tmp_path):
    script = "mkdir cache; for i in 1 2 3 4 5 6 7; do sleep 0.2; echo >> cache/file; done"
    run_watched(["sh", "-c", script], tmp_path, idle_seconds=1.2)
    assert (tmp_path / "cache" / "file").stat().st_size == 7


def test_a_silent_command_is_ended_with_all_that_it_started(ticking):
    command, folder, is_alive = ticking
    with pytest.raises(SourceError, match=r"no byte came for 1\.5 s"):
        run_watched(["sh", "-c", command], folder, 1.5)  # in which it begins to tick
    assert not is_alive()


def test_an_interrupted_command_is_ended_with_all_that_it_started(ticking, monkeypatch):
    command, folder, is_alive = ticking

    def interrupt_once_it_ticks(_):
        if (folder.parent / "ticks").exists():
            raise KeyboardInterrupt
        return 0

    monkeypatch.setattr(download, "_bytes_in", interrupt_once_it_ticks)
    with pytest.raises(KeyboardInterrupt):
        run_watched(["sh", "-c", command], folder)
    assert not is_alive()
