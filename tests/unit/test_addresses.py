"""Addresses are read and written in one way, IPv6 included, and servers listen at all of them."""

from __future__ import annotations

import socket

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairsim.addresses import (
    AddressError,
    format_address,
    http_url,
    is_ipv6,
    is_wildcard,
    parse_address,
    parse_host,
    parse_host_header,
)
from pairsim.model.names import Address
from pairsim.system.listening import listen

no_ipv6 = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("localhost:8080", "localhost", 8080),
        ("10.0.0.1:0", "10.0.0.1", 0),
        ("pod.plane.svc:65535", "pod.plane.svc", 65535),
        ("[::1]:7946", "::1", 7946),
        ("::1:7946", "::1", 7946),
        ("fd00:10:244::5:7946", "fd00:10:244::5", 7946),
        ("FD00:0:0:0:0:0:0:5:7946", "fd00::5", 7946),
        ("[::]:8081", "::", 8081),
    ],
)
def test_the_last_colon_separates_the_port(text: str, host: str, port: int) -> None:
    assert parse_address(text) == (host, port)


@pytest.mark.parametrize(
    "text",
    ["", "host", "host:", ":80", "host:http", "host:70000", "127.0.0.1:-1", "h:²", "h:+1", "h:000080", "a b:80",
     "h\0:80", "http://h:80", "[h]:80", "[127.0.0.1]:80", "user@h:80"],
)  # fmt: skip
def test_an_invalid_address_is_reported(text: str) -> None:
    with pytest.raises(AddressError) as told:
        parse_address(text, min_port=1)
    assert str(told.value) == f"{text!r} is not HOST:PORT with a port of 1 to 65535"


@pytest.mark.parametrize("text", ["fd00::1", "1:2:3:4:5:6:7:8", "[::1]", "[::1:80", "a:b:80", "fe80::1%e:80", "::1:"])
def test_an_ambiguous_address_is_refused_with_the_way_to_write_it(text: str) -> None:
    with pytest.raises(AddressError, match=r"; write an IPv6 address in brackets, as in \[::1\]:8080$"):
        parse_address(text)


@given(st.one_of(st.ip_addresses().map(str), st.just("west.pairsim.svc")), st.integers(1, 65535))
def test_what_is_written_is_read_again_and_fits_into_documents(host: str, port: int) -> None:
    text = format_address(host, port)
    assert parse_address(text) == parse_address(f"{host}:{port}") == (parse_host(host), port)
    assert format_address(*parse_address(text)) == text
    assert msgspec.convert(text, Address) == text


def test_a_url_has_brackets_around_an_ipv6_address() -> None:
    assert http_url("fd00::5", 8080) == http_url("[fd00::5]", 8080) == "http://[fd00::5]:8080"
    assert http_url("10.0.0.5", 8080) == "http://10.0.0.5:8080"
    assert (is_ipv6("::1"), is_ipv6("[::1]"), is_ipv6("127.0.0.1"), is_ipv6("localhost")) == (True, True, False, False)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "[::]", "0:0:0:0:0:0:0:0"])
def test_a_wildcard_is_known_in_each_of_its_forms(host: str) -> None:
    assert is_wildcard(host)
    assert not is_wildcard("::1")


@pytest.mark.parametrize(
    ("header", "host"),
    [("LocalHost:80", "localhost"), ("127.0.0.1", "127.0.0.1"), ("[::1]:80", "::1"), ("[0::1]", "::1"), ("h:", "h"),
     ("::1", ""), ("::1:80", ""), ("evil[::1]:80", ""), ("[::1]evil:80", ""), ("a:b:c", ""), ("", ""), ("[", "")],
)  # fmt: skip
def test_the_host_of_a_header_is_read_strictly(header: str, host: str) -> None:
    assert parse_host_header(header) == host


@no_ipv6
def test_the_ipv6_wildcard_listens_for_both_kinds() -> None:
    with listen("::", 0, backlog=4) as server:
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, server.getsockname()[1]), 10).close()


def test_the_ipv6_wildcard_means_ipv4_on_a_machine_without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    with listen("::", 0, backlog=4) as server:
        assert server.family is socket.AF_INET
        socket.create_connection(("127.0.0.1", server.getsockname()[1]), 10).close()


@no_ipv6
def test_a_taken_port_is_reported_with_host_and_port() -> None:
    with listen("::1", 0, backlog=4) as server:
        port = server.getsockname()[1]
        with pytest.raises(OSError, match=rf"\('::1', {port}\)"):
            listen("::1", port, backlog=4)
