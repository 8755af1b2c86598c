"""Requests that two implementations could read in two ways, over the wire: weir
answers 4xx or 501, closes, and the origin sees not one byte of them.
"""
# SPDX-License-Identifier: MIT
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from case import Failed, case, check, eq, run
from weir import Weir, one
from web import HttpOrigin, chunks, ok, once, read_response
from wire import Client

H = b"Host: x.test\r\n"
POST = b"POST / HTTP/1.1\r\n" + H
GET = b"GET / HTTP/1.1\r\n" + H
EITHER = (400, 501)
NEXT = b"GET /smuggled HTTP/1.1\r\nHost: x.test\r\n\r\n"
TE = b"Transfer-Encoding: chunked\r\n"

# name: (status, bytes). The source is RFC 9112 unless it says otherwise.
HEADS = {
    # 6.1, 6.3: which of the two would count?
    "length_and_chunked": (400, POST + b"Content-Length: 6\r\n" + TE +
                           b"\r\n0\r\n\r\nX"),
    "chunked_and_length": (400, POST + TE + b"Content-Length: 6\r\n" +
                           b"\r\n0\r\n\r\nX"),
    "two_lengths": (400, POST + b"Content-Length: 3\r\n"
                    b"Content-Length: 5\r\n\r\nabcde"),
    "two_equal_lengths": (400, POST + b"Content-Length: 3\r\n"
                          b"Content-Length: 3\r\n\r\nabc"),
    "list_of_lengths": (400, POST + b"Content-Length: 3, 3\r\n\r\nabc"),
    "plus_length": (400, POST + b"Content-Length: +3\r\n\r\nabc"),
    "minus_length": (400, POST + b"Content-Length: -1\r\n\r\nabc"),
    "empty_length": (400, POST + b"Content-Length:\r\n\r\nabc"),
    "hex_length": (400, POST + b"Content-Length: 0x3\r\n\r\nabc"),
    "float_length": (400, POST + b"Content-Length: 3.0\r\n\r\nabc"),
    "spaced_length": (400, POST + b"Content-Length: 3 3\r\n\r\nabc"),
    "length_2_to_64_and_3": (400, POST + b"Content-Length: "
                             b"18446744073709551619\r\n\r\nabc"),
    "length_2_to_63": (400, POST + b"Content-Length: "
                       b"9223372036854775808\r\n\r\nabc"),
    "length_of_40_digits": (400, POST + b"Content-Length: " + b"9" * 40 +
                            b"\r\n\r\nabc"),
    "length_in_other_case_too": (400, POST + b"content-length: 3\r\n"
                                 b"CONTENT-LENGTH: 4\r\n\r\nabcd"),
    # 6.1, 7: codings
    "unknown_coding": (EITHER, POST + b"Transfer-Encoding: gzip\r\n\r\n"),
    "gzip_then_chunked": (EITHER, POST + b"Transfer-Encoding: gzip, chunked"
                          b"\r\n\r\n0\r\n\r\n"),
    "chunked_twice": (EITHER, POST + b"Transfer-Encoding: chunked, chunked"
                      b"\r\n\r\n0\r\n\r\n"),
    "chunked_in_two_fields": (EITHER, POST + TE + TE + b"\r\n0\r\n\r\n"),
    "chunked_then_identity": (EITHER, POST + b"Transfer-Encoding: chunked, "
                              b"identity\r\n\r\n0\r\n\r\n"),
    "identity": (EITHER, POST + b"Transfer-Encoding: identity\r\n\r\n"),
    "xchunked": (EITHER, POST + b"Transfer-Encoding: xchunked\r\n\r\n"),
    "quoted_chunked": (EITHER, POST + b'Transfer-Encoding: "chunked"\r\n\r\n'),
    "chunked_with_parameter": (EITHER, POST +
                               b"Transfer-Encoding: chunked;q=1\r\n\r\n"),
    "empty_coding": (EITHER, POST + b"Transfer-Encoding:\r\n\r\n"),
    "vertical_tab_before_chunked": (EITHER, POST + b"Transfer-Encoding: \x0b"
                                    b"chunked\r\n\r\n0\r\n\r\n"),
    "chunked_in_1_0": (400, b"POST / HTTP/1.0\r\n" + H + TE +
                       b"\r\n0\r\n\r\n"),
    # 2.2: lines
    "bare_lf_everywhere": (400, b"GET / HTTP/1.1\nHost: x.test\n\n"),
    "bare_lf_after_start": (400, b"GET / HTTP/1.1\nHost: x.test\r\n\r\n"),
    "bare_lf_after_field": (400, b"GET / HTTP/1.1\r\nHost: x.test\n\r\n"),
    "bare_lf_at_the_end": (400, GET + b"A: b\r\n\n"),
    "bare_cr_in_value": (400, GET + b"A: b\rc\r\n\r\n"),
    "bare_cr_then_field": (400, GET + b"A: b\rTransfer-Encoding: chunked"
                           b"\r\n\r\n"),
    "cr_cr_lf": (400, GET + b"A: b\r\r\n\r\n"),
    "space_before_first_field": (400, b"GET / HTTP/1.1\r\n " + H + b"\r\n"),
    # 5.1, 5.2: fields
    "space_before_colon": (400, POST + b"Content-Length : 3\r\n\r\nabc"),
    "tab_before_colon": (400, POST + b"Transfer-Encoding\t: chunked\r\n\r\n"
                         b"0\r\n\r\n"),
    "folded_value": (400, GET + b"A: b\r\n c\r\n\r\n"),
    "folded_coding": (400, POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n"
                      b"0\r\n\r\n"),
    "empty_name": (400, GET + b": b\r\n\r\n"),
    "no_colon": (400, GET + b"Abc\r\n\r\n"),
    "bad_name": (400, GET + b"A(b): c\r\n\r\n"),
    "nul_in_value": (400, GET + b"A: b\0c\r\n\r\n"),
    "nul_in_name": (400, GET + b"A\0: b\r\n\r\n"),
    "control_in_value": (400, GET + b"A: b\x01c\r\n\r\n"),
    "del_in_value": (400, GET + b"A: b\x7fc\r\n\r\n"),
    "high_bit_in_name": (400, GET + b"A\xe9: b\r\n\r\n"),
    # 3: the start line
    "two_spaces": (400, b"GET  / HTTP/1.1\r\n" + H + b"\r\n"),
    "tab_for_space": (400, b"GET\t/ HTTP/1.1\r\n" + H + b"\r\n"),
    "space_in_target": (400, b"GET /a b HTTP/1.1\r\n" + H + b"\r\n"),
    "control_in_target": (400, b"GET /\x01 HTTP/1.1\r\n" + H + b"\r\n"),
    "fragment_in_target": (400, b"GET /a#b HTTP/1.1\r\n" + H + b"\r\n"),
    "no_version": (400, b"GET /\r\n" + H + b"\r\n"),
    "version_2": (505, b"GET / HTTP/2.0\r\n" + H + b"\r\n"),
    "version_9": (505, b"GET / HTTP/9.9\r\n" + H + b"\r\n"),
    "version_1_10": (400, b"GET / HTTP/1.10\r\n" + H + b"\r\n"),
    "version_lower_case": (400, b"GET / http/1.1\r\n" + H + b"\r\n"),
    "trailing_space": (400, b"GET / HTTP/1.1 \r\n" + H + b"\r\n"),
    "bad_method": (400, b"G(T / HTTP/1.1\r\n" + H + b"\r\n"),
    "relative_target": (400, b"GET a HTTP/1.1\r\n" + H + b"\r\n"),
    "asterisk_with_get": (400, b"GET * HTTP/1.1\r\n" + H + b"\r\n"),
    # A ClientHello is told otherwise, see test_tls_plaintext.py.
    "tls_other_hello": (400, b"\x16\x03\x03\x00\x04\x02\x00\x00\x00\r\n"),
    # 3.2: Host
    "no_host": (400, b"GET / HTTP/1.1\r\nA: b\r\n\r\n"),
    "two_hosts": (400, GET + H + b"\r\n"),
    "two_different_hosts": (400, GET + b"Host: y.test\r\n\r\n"),
    "list_in_host": (400, b"GET / HTTP/1.1\r\nHost: a.test, b.test\r\n\r\n"),
    "space_in_host": (400, b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    "path_in_host": (400, b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    "user_in_host": (400, b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    "authority_differs": (400, b"GET http://y.test/ HTTP/1.1\r\n" + H +
                          b"\r\n"),
    "authority_with_user": (400, b"GET http://u@x.test/ HTTP/1.1\r\n" + H +
                            b"\r\n"),
}

# 7.1: the head is fine and may be on its way, the body is not: the origin
# must never see this request as a whole one, nor anything after it.
BODIES = {
    "size_overflows_64_bits": b"1" + b"0" * 16 + b"\r\nabc\r\n0\r\n\r\n",
    "size_of_20_digits": b"f" * 20 + b"\r\nabc\r\n",
    "size_with_0x": b"0x3\r\nabc\r\n0\r\n\r\n",
    "size_with_plus": b"+3\r\nabc\r\n0\r\n\r\n",
    "size_with_minus": b"-3\r\nabc\r\n0\r\n\r\n",
    "size_missing": b"\r\nabc\r\n0\r\n\r\n",
    "size_with_leading_space": b" 3\r\nabc\r\n0\r\n\r\n",
    "size_then_space": b"3 \r\nabc\r\n0\r\n\r\n",
    "size_not_hex": b"g\r\nabc\r\n0\r\n\r\n",
    "bare_lf_after_size": b"3\nabc\r\n0\r\n\r\n",
    "bare_cr_after_size": b"3\rabc\r\n0\r\n\r\n",
    "bare_lf_after_extension": b"3;a=b\nabc\r\n0\r\n\r\n",
    "cr_in_extension": b"3;a\rb\r\nabc\r\n0\r\n\r\n",
    "nul_in_extension": b"3;a\0\r\nabc\r\n0\r\n\r\n",
    "bare_lf_after_data": b"3\r\nabc\n0\r\n\r\n",
    "data_too_long": b"3\r\nabcd\r\n0\r\n\r\n",
    "data_too_short": b"3\r\nab\r\n0\r\n\r\n",
    "bare_lf_after_last_chunk": b"0\n\n",
    "bare_lf_ends_trailers": b"0\r\n\n",
    "bad_trailer": b"0\r\nbad trailer\r\n\r\n",
    "folded_trailer": b"0\r\nA: b\r\n c\r\n\r\n",
}


def turned_away(w, name, status, data, pieces=None):
    c = Client(w.conf.ports["front"])
    if pieces:
        try:
            c.send_pieces(data, pieces)
        except (BrokenPipeError, ConnectionResetError):
            pass            # told already
    else:
        c.send(data)
    try:
        r = read_response(c)
    except Failed as e:
        raise Failed("%s: %s" % (name, e)) from None
    check(r.status in (status if isinstance(status, tuple) else (status,)),
          "%s: %d, wanted %s" % (name, r.status, status))
    eq((r.get("Connection") or "").lower(), "close", name + ": Connection")
    c.read_to_end()
    check(c.ended, name + ": not closed")
    c.close()


def beside(o, w, count):
    """The origin has seen nothing; weir still serves others well."""
    eq((o.accepted, o.received), (0, 0), "what the origin saw")
    eq(ok(once(w.conf.ports["front"])).nth, 1, "a good request")
    eq([q.target for q in o.seen], ["/"], "requests upstream")
    eq(w.failures() and sum(w.failures().values()), count,
       "counted failures: %r" % w.failures())


@case
def ambiguous_heads_are_refused_with_zero_bytes_upstream():
    o = HttpOrigin()
    w = Weir(one(o))
    for name, (status, data) in HEADS.items():
        turned_away(w, name, status, data + NEXT)
    beside(o, w, len(HEADS))


@case
def likewise_when_they_come_byte_by_byte():
    o = HttpOrigin()
    w = Weir(one(o))
    for name, (status, data) in HEADS.items():
        turned_away(w, name, status, data, 1)
    eq((o.accepted, o.received), (0, 0), "what the origin saw")
    ok(once(w.conf.ports["front"]))


@case
def connect_is_refused_and_what_follows_is_not_read():
    # A client that does not wait sends its tunnel's bytes right behind.
    o = HttpOrigin()
    w = Weir(one(o))
    turned_away(w, "connect", (405, 501), b"CONNECT x.test:443 HTTP/1.1\r\n"
                b"Host: x.test:443\r\n\r\n" + NEXT)
    beside(o, w, 1)


@case
def ambiguous_bodies_never_become_whole_requests():
    o = HttpOrigin()
    w = Weir(one(o))
    for size in (None, 1):
        for name, body in BODIES.items():
            c = Client(w.conf.ports["front"])
            try:
                c.send_pieces(POST + TE + b"\r\n" + body + NEXT,
                              size or 1 << 20)
                r = read_response(c)
                eq(r.status, 400, name)
                c.read_to_end()
            except (BrokenPipeError, ConnectionResetError):
                pass
            check(c.ended or size, name + ": not closed")
            c.close()
            eq(o.requests, 0, name + ": requests that arrived whole")
    eq(ok(once(w.conf.ports["front"])).nth, 1, "a good request")
    w.wait_pool(leased=0, waiting=0)


@case
def good_ones_beside_them_pass():
    o = HttpOrigin()
    w = Weir(one(o))
    for name, data in {
            "leading_crlf": b"\r\n" + GET + b"\r\n",
            "empty_value": GET + b"A:\r\n\r\n",
            "no_space_after_colon": b"GET / HTTP/1.1\r\nHost:x.test\r\n\r\n",
            "tabs_around_value": GET + b"A:\t b \t\r\n\r\n",
            "high_bit_in_value": GET + b"A: caf\xc3\xa9\r\n\r\n",
            "leading_zeros": POST + b"Content-Length: 0003\r\n\r\nabc",
            "chunked_upper_case": POST + b"Transfer-Encoding: CHUNKED\r\n\r\n"
            + chunks(b"abc"),
            "extension": POST + TE + b"\r\n3;a=b;c=\"d;e\"\r\nabc\r\n"
            b"0\r\n\r\n",
            "leading_zeros_in_size": POST + TE +
            b"\r\n00003\r\nabc\r\n0\r\n\r\n",
            "ipv6_host": b"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
            "absolute_form": b"GET http://x.test/ HTTP/1.1\r\n" + H + b"\r\n",
            "asterisk": b"OPTIONS * HTTP/1.1\r\n" + H + b"\r\n",
            "other_method": b"PROPFIND / HTTP/1.1\r\n" + H + b"\r\n",
            "http_1_0": b"GET / HTTP/1.0\r\n\r\n"}.items():
        for size in (1 << 20, 1):
            c = Client(w.conf.ports["front"]).send_pieces(data, size)
            eq(read_response(c).status, 200, name)
            c.close()
    o.had(1)
    eq(w.failures(), {}, "failures")
    w.balanced(o)


run()
