"""Sixty wrong requests as they go over the wire: (bytes, status, a piece of what is said)."""

import json

GOOD = b'{"texts": ["a good b"]}'
JSON = "content-type: application/json"


def request(line: str, *headers: str, body: bytes = b"") -> bytes:
    """A request of these lines."""
    return "\r\n".join([line, "host: localhost", *headers, "", ""]).encode("latin-1") + body


def post(body: bytes, path: str = "/v1/answer", *headers: str, kind: str = JSON) -> bytes:
    length = f"content-length: {len(body)}"
    return request(f"POST {path} HTTP/1.1", kind, length, *headers, body=body)


def texts(value: object, **more: object) -> bytes:
    return post(json.dumps({"texts": value, **more}).encode())


def headed(*headers: str, body: bytes = GOOD) -> bytes:
    """A request for answers with these headers, which say how long it is, or don't."""
    return request("POST /v1/answer HTTP/1.1", JSON, *headers, body=body)


CHUNKED = "transfer-encoding: chunked"
NO_HTTP = "this is no HTTP request that can be read"
TLS = bytes.fromhex("16030100c8010000c40303") + bytes(range(64))

WRONG = {
    # What a body holds
    "no body": (post(b""), 400, "the body is empty"),
    "half an object": (post(b'{"texts": ["a"'), 400, "the body is not JSON: line 1, column 15"),
    "an object and more": (post(GOOD + b"]"), 400, "Extra data"),
    "a comment": (post(b'{"texts": ["a"]} // a'), 400, "Extra data"),
    "single quotes": (post(b"{'texts': ['a']}"), 400, "the body is not JSON: line 1, column 2"),
    "a byte order mark": (post(b"\xef\xbb\xbf" + GOOD), 400, "the body is not JSON"),
    "UTF-16": (post(GOOD.decode().encode("utf-16")), 400, "the body is not UTF-8: byte 0"),
    "latin-1": (post(b'{"texts": ["caf\xe9"]}'), 400, "the body is not UTF-8: byte 15"),
    "an overlong character": (post(b'{"texts": ["\xc0\xaf"]}'), 400, "not UTF-8: byte 12"),
    "a control character": (post(b'{"texts": ["\x00"]}'), 400, "Invalid control character"),
    "a bad escape": (post(b'{"texts": ["\\x41"]}'), 400, "the body is not JSON"),
    "NaN": (post(b'{"texts": [NaN]}'), 400, "NaN is no number there"),
    "Infinity": (post(b'{"texts": Infinity}'), 400, "Infinity is no number there"),
    "a number without end": (post(b'{"texts": ' + b"1" * 9999 + b"}"), 400, "not JSON"),
    "brackets without end": (post(b"[" * 100_000), 400, "nested more than 4 deep"),
    "objects without end": (post(b'{"a":' * 50_000), 400, "nested more than 4 deep"),
    "a list": (post(b'["a"]'), 422, "should be an object with 'texts', got a list"),
    "a string": (post(b'"a"'), 422, "should be an object with 'texts', got a string"),
    "no texts": (post(b'{"tasks": ["mood"]}'), 422, "'texts' is missing"),
    "texts null": (texts(None), 422, "'texts' is missing"),
    "texts a string": (texts("a"), 422, "'texts' should be a list, got a string"),
    "a text that is a number": (texts(["a", 1e308]), 422, "text 1: should be a string or a list"),
    "a text that is an object": (texts([{"text": "a"}]), 422, "got an object"),
    "candidates of candidates": (texts([["a", ["b", ["c"]]]]), 422, "got a list"),
    "a text of no words": (texts([[]], tasks=["same"]), 422, "not a list of words; got []"),
    "a pair of three": (texts([["a", "b", "c"]], tasks=["same"]), 422, "the tasks asked take"),
    "candidates nobody takes": (texts([["a", ["b"]]]), 422, "text 0: the tasks asked take"),
    "a lone surrogate": (texts(["a", "\udfff"]), 422, "text 1: holds a lone surrogate"),
    "an unknown key": (texts(["a"], taks=["mood"]), 422, "unknown key 'taks'; did you mean"),
    "an unknown task": (texts(["a"], tasks=["modo"]), 422, "no task 'modo'; did you mean 'mood'?"),
    "a task that is null": (texts(["a"], tasks=[None]), 422, "'tasks' should be a list of names"),
    "an unknown model": (texts(["a"], model="second"), 404, "no model 'second'"),
    "a model that is a list": (texts(["a"], model=["first"]), 422, "'model' should be a name"),
    "a flag that is a string": (texts(["a"], probabilities="yes"), 422, "should be true or false"),
    "too many texts": (texts(["a"] * 300), 413, "300 texts; at most 256 are allowed"),
    "too many characters": (texts(["a" * 60_000] * 2), 413, "120,000 characters; at most"),
    "too many bytes": (post(b" " * 2_000_000), 413, "a body of 2,000,000 bytes; at most"),
    # What a request says of its body
    "no type": (request("POST /v1/answer HTTP/1.1", "content-length: 23", body=GOOD), 415, "''"),
    "a form": (post(b"a=b", kind="content-type: text/plain"), 415, "the body is 'text/plain'"),
    "gzip": (post(GOOD, "/v1/answer", "content-encoding: gzip"), 415, "content-encoding 'gzip'"),
    "a negative length": (headed("content-length: -5"), 400, "bad Content-Length"),
    "a length of letters": (headed("content-length: ten"), 400, "bad Content-Length"),
    "two lengths": (headed("content-length: 5", "content-length: 6"), 400, "conflicting"),
    "a length and chunks": (headed("content-length: 5", CHUNKED), 400, "allowed: one of them"),
    "a chunk of letters": (headed(CHUNKED, body=b"xyz\r\n" + GOOD), 400, NO_HTTP),
    "a chunk that goes on": (headed(CHUNKED, body=b"1\r\n{{{{\r\n"), 400, NO_HTTP),
    "an unknown coding": (headed("transfer-encoding: gzip, chunked"), 501, NO_HTTP),
    "an expectation": (headed("expect: miracles", "content-length: 23"), 417, "'miracles'"),
    # Paths and methods
    "another method": (request("PUT /v1/answer HTTP/1.1"), 405, "PUT is not allowed there"),
    "a method nobody knows": (request("BREW /health HTTP/1.1"), 405, "allowed: GET"),
    "a proxy's method": (request("CONNECT a.example:443 HTTP/1.1"), 404, "no path"),
    "all of it": (request("OPTIONS * HTTP/1.1"), 404, "no path '/*'"),
    "a path with escapes": (request("GET /v1/..%2f..%2fetc/passwd%0a%00 HTTP/1.1"), 404, "no path"),
    "an escape that is none": (post(GOOD, "/v1/answer/%ff%zz"), 422, "no task"),
    "an unknown path": (request("GET /v2/answer?a=b HTTP/1.1"), 404, "no path '/v2/answer'"),
    # What is no HTTP/1.1
    "no host": (b"GET /health HTTP/1.1\r\n\r\n", 400, "Missing mandatory Host: header"),
    "two hosts": (request("GET /health HTTP/1.1", "host: b"), 400, "multiple Host"),
    "a header without a name": (request("GET /health HTTP/1.1", ": a"), 400, NO_HTTP),
    "a folded header": (b"GET /health HTTP/1.1\r\n a: b\r\n\r\n", 400, NO_HTTP),
    "headers without end": (
        request("GET /health HTTP/1.1", *[f"h{n}: {'a' * 4000}" for n in range(500)])[:-2],
        431, NO_HTTP,
    ),
    "a line without end": (b"GET /" + b"a" * 2_000_000, 431, NO_HTTP),
    "HTTP/0.9": (b"GET /health\r\n\r\n", 400, "illegal request line"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "HTTP 2.0 is not spoken here"),
    "TLS": (TLS, 400, NO_HTTP),
}  # fmt: skip
