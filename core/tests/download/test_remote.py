from __future__ import annotations

import json
import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from flash.download import download_data
from flash.download._remote import Remote, file_name
from flash.errors import DownloadError


@pytest.mark.parametrize("url", ["ftp://host/x", "data:text/plain,hi", "s3://bucket/x", "data/x.zip", "C:\\x.zip"])
def test_other_schemes_are_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="begins with http://, https:// or file://"):
        download_data(url, tmp_path)


@pytest.mark.parametrize("url", ["http:///x", "file://elsewhere/x", "http://host:port/x", "http://[::1/x"])
def test_a_url_with_a_wrong_host_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="host"):
        download_data(url, tmp_path)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/a/data.tar.gz?x=/b.zip#/c", "data.tar.gz"),
        ("/", "download"),
        ("", "download"),
        ("/a/", "download"),
        ("/..", "download"),
        ("/%2e%2e", "download"),
        ("/..%2f..%2fetc%2fpasswd", "passwd"),
        ("/..%5c..%5cboot.ini", "boot.ini"),
        ("/%00evil%0a.csv", "_evil_.csv"),
        ("/C:%5Cx.zip", "x.zip"),
        ("/c:x.zip", "c_x.zip"),
        ("/.bashrc", "_bashrc"),
        ("/nul", "_nul"),
        ("/Com1.zip", "_Com1.zip"),
        ("/name.%20.", "name"),
        ("/my%20data.csv", "my data.csv"),
        ("/" + "ä" * 300 + ".zip", "ä" * 98 + ".zip"),
    ],
)
def test_the_name_of_a_file_is_safe_whatever_the_url_says(path: str, name: str) -> None:
    assert file_name("https://host" + path) == name


def test_spaces_and_letters_beyond_ascii_in_a_url_are_sent_encoded(site: Any, tmp_path: Path) -> None:
    download_data(site.url("/my däta.bin?q=ä b"), tmp_path, progress=False)
    assert site.requests[0]["path"] == "/my%20d%C3%A4ta.bin?q=%C3%A4%20b"


def test_credentials_in_the_url_are_sent_and_never_shown_or_stored(site: Any, tmp_path: Path) -> None:
    url = site.url("/data.bin?token=hush").replace("//", "//me:secr%40t@")
    site.statuses = [401]
    with pytest.raises(DownloadError, match="401 Unauthorized") as caught:
        download_data(url, tmp_path, progress=False)
    download_data(url, tmp_path, progress=False)
    assert site.requests[0]["authorization"] == "Basic bWU6c2VjckB0"
    record = (tmp_path / ".data.bin.download").read_text()
    assert set(json.loads(record)) == {"file"}
    for shown in (str(caught.value), repr(Remote.parse(url)), record):
        assert not any(secret in shown for secret in ("secr", "me:", "hush"))


@pytest.mark.parametrize("url", ["http://me:secret@host:port/x", "http://me:sec:ret@/x", "ftp://me:secret@host/x"])
def test_credentials_of_a_malformed_url_are_not_shown(url: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError) as caught:
        download_data(url, tmp_path)
    assert not any(secret in str(caught.value) for secret in ("me:", "sec", "ret"))


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_followed_and_the_name_stays_that_of_the_url(site: Any, tmp_path: Path, status: int) -> None:
    site.statuses, site.headers = [status], {"Location": "/elsewhere/other.txt"}
    assert site.download(tmp_path).name == "data.bin"
    assert site.requests[1]["path"] == "/elsewhere/other.txt"


@pytest.mark.parametrize(("host", "sent"), [("127.0.0.1", True), ("localhost", False)])
def test_a_redirect_takes_the_password_to_no_other_host(site: Any, tmp_path: Path, host: str, sent: bool) -> None:
    site.statuses, site.headers = [302], {"Location": site.url("/x", host)}
    download_data(site.url().replace("//", "//me:secret@"), tmp_path, progress=False)
    assert ("authorization" in site.requests[1]) is sent


@pytest.mark.parametrize("address", ["http://[", "http://host:port/", "//[::1/x"])
def test_a_redirect_to_no_address_is_an_error(site: Any, tmp_path: Path, address: str) -> None:
    site.statuses, site.headers = [302], {"Location": address}
    with pytest.raises(DownloadError, match="Check the address"):
        site.download(tmp_path, retries=0)


def test_a_file_that_was_compressed_for_the_way_is_refused(site: Any, tmp_path: Path) -> None:
    site.headers = {"Content-Encoding": "gzip"}
    site.file_headers = True
    with pytest.raises(DownloadError, match="the server compressed it with 'gzip', although it was asked for the file"):
        site.download(tmp_path, retries=0)


def test_a_file_that_is_compressed_itself_is_taken_whatever_the_server_says(site: Any, tmp_path: Path) -> None:
    site.headers = {"Content-Encoding": "x-gzip"}
    site.file_headers = True
    file = download_data(site.url("/data.csv.gz"), tmp_path, progress=False, extract=False)
    assert Path(file).read_bytes() == site.original


def test_a_redirect_to_a_local_file_is_refused(site: Any, tmp_path: Path) -> None:
    site.statuses, site.headers = [302], {"Location": "file:///etc/hostname"}
    with pytest.raises(DownloadError, match="the server answered 302"):
        site.download(tmp_path)


@pytest.fixture
def encrypted(site: Any, tmp_path: Path) -> Any:
    if shutil.which("openssl") is None:
        pytest.skip("makes its certificate with openssl")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    subprocess.run(
        [*command.split(), "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    site.socket = context.wrap_socket(site.socket, server_side=True)
    return site


@pytest.mark.process
def test_a_certificate_that_nobody_vouches_for_is_refused(encrypted: Any, tmp_path: Path) -> None:
    url = encrypted.url(host="localhost").replace("http:", "https:")
    with pytest.raises(DownloadError, match="certificate is not trusted"):
        download_data(url, tmp_path / "data", progress=False)


@pytest.mark.process
def test_a_program_that_turned_off_verification_does_not_turn_it_off_here(
    encrypted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssl, "_create_default_https_context", ssl._create_unverified_context)
    url = encrypted.url(host="localhost").replace("http:", "https:")
    with pytest.raises(DownloadError, match="certificate is not trusted"):
        download_data(url, tmp_path / "data", progress=False)


@pytest.mark.process
def test_a_redirect_from_https_to_http_is_refused(
    encrypted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    url = encrypted.url(host="localhost").replace("http:", "https:")
    encrypted.statuses, encrypted.headers = [302], {"Location": "http://localhost/x"}
    with pytest.raises(DownloadError, match=r"302 Found. The redirect leads in a circle or away from https"):
        download_data(url, tmp_path / "data", progress=False)
    assert download_data(url, tmp_path / "data", progress=False).exists()
