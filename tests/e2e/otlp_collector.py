"""A collector of traces that believes nothing: OTLP/HTTP in JSON, every field held against the schema.

What is wrong with a request is in `violations`; spans that were answered with 2xx are in `spans`.
"""

import http.server
import json
import re
import threading

from wire import DEADLINE

# Of opentelemetry/proto: what each message may have, and what it must.
SPAN = {"traceId": str, "spanId": str, "parentSpanId": str, "traceState": str, "flags": int, "name": str, "kind": int,
        "startTimeUnixNano": str, "endTimeUnixNano": str, "attributes": list, "status": dict}
SPAN_OPTIONAL = {"parentSpanId", "traceState"}
VALUES = {"stringValue": str, "intValue": str, "boolValue": bool, "doubleValue": float}
SERVER, CLIENT = 2, 3


class Wrong(Exception):
    pass


def need(condition, what):
    if not condition:
        raise Wrong(what)


def unique_keys(pairs):
    need(len({key for key, _ in pairs}) == len(pairs), f"a key is there twice: {pairs!r}")
    return dict(pairs)


def check_members(message, allowed, optional=()):
    need(isinstance(message, dict), f"no object: {message!r}")
    for key, value in message.items():
        need(key in allowed, f"unknown member {key}")
        need(type(value) is allowed[key], f"{key} is {value!r}")
    for key in allowed:
        need(key in message or key in optional, f"{key} is missing in {message!r}")


def check_attributes(attributes):
    """As a dict of plain values."""
    plain = {}
    for attribute in attributes:
        check_members(attribute, {"key": str, "value": dict})
        need(len(attribute["value"]) == 1, f"not one value: {attribute!r}")
        check_members(attribute["value"], VALUES, VALUES)
        (kind, value), = attribute["value"].items()
        need(kind != "intValue" or re.fullmatch(r"-?\d+", value), f"no number: {value!r}")
        need(attribute["key"] and attribute["key"] not in plain, f"twice: {attribute['key']}")
        plain[attribute["key"]] = int(value) if kind == "intValue" else value
    return plain


def check_span(span):
    """The span, its attributes plain."""
    check_members(span, SPAN, SPAN_OPTIONAL)
    need(re.fullmatch("[0-9a-f]{32}", span["traceId"]) and int(span["traceId"], 16), "traceId")
    for key in ("spanId", "parentSpanId"):
        need(key not in span or (re.fullmatch("[0-9a-f]{16}", span[key]) and int(span[key], 16)), key)
    start, end = span["startTimeUnixNano"], span["endTimeUnixNano"]
    need(re.fullmatch(r"\d+", start) and re.fullmatch(r"\d+", end), "times")
    need(1_700_000_000 * 10**9 < int(start) <= int(end) < 4_000_000_000 * 10**9, f"times {start} {end}")
    need(span["kind"] in (SERVER, CLIENT) and span["name"], "kind or name")
    need(0 <= span["flags"] < 0x400, "flags")
    check_members(span["status"], {"code": int, "message": str}, ("code", "message"))
    plain = check_attributes(span["attributes"])
    need(plain.get("http.request.method"), "no method")
    need(span["kind"] == SERVER or "url.full" in plain, "a client's span without url.full")
    need((span["status"].get("code", 0) == 2) == ("error.type" in plain), f"status and error.type: {span!r}")
    return {**span, "attributes": plain}


def check_request(body):
    """[(resource attributes, span)] of a whole request."""
    spans = []
    request = json.loads(body.decode("utf-8"), object_pairs_hook=unique_keys)
    check_members(request, {"resourceSpans": list})
    for resource_spans in request["resourceSpans"]:
        check_members(resource_spans, {"resource": dict, "scopeSpans": list})
        check_members(resource_spans["resource"], {"attributes": list})
        resource = check_attributes(resource_spans["resource"]["attributes"])
        need(resource.get("service.name"), "no service.name")
        for scope_spans in resource_spans["scopeSpans"]:
            check_members(scope_spans, {"scope": dict, "spans": list})
            check_members(scope_spans["scope"], {"name": str, "version": str})
            spans += [(resource, check_span(span)) for span in scope_spans["spans"]]
    need(spans, "no span at all")
    return spans


class Collector:
    """Answers 200 unless `answers` has something else to say first: (status, {field: value}, body), or "hang"."""

    def __init__(self, port=0):
        self.changed = threading.Condition()
        self.answers = []
        self.requests = []  # (path, fields)
        self.spans = []  # (resource, span)
        self.violations = []
        self.released = threading.Event()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = DEADLINE

            def do_POST(self):
                collector._serve(self)

            def log_message(self, *_):
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass  # Remora has gone away, as it may

        self.server = Quiet(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/v1/traces"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def _serve(self, handler):
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        spans = []
        with self.changed:
            try:
                need(handler.headers["Content-Type"] == "application/json", "Content-Type")
                spans = check_request(body)
            except (Wrong, ValueError) as error:
                self.violations.append(f"{error}: {body[:2000]!r}")
            self.requests.append((handler.path, dict(handler.headers)))
            answer = self.answers.pop(0) if self.answers else (200, {}, b"{}")
            self.changed.notify_all()
        if answer == "hang":
            self.released.wait(DEADLINE)
            handler.close_connection = True
            return
        status, fields, text = answer
        handler.send_response(status)
        for name, value in {"Content-Type": "application/json", **fields}.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)
        with self.changed:
            if status < 300:
                self.spans += spans
            self.changed.notify_all()

    def wait(self, predicate, what):
        """Until `predicate(the spans taken so far)` holds; what it returned."""
        with self.changed:
            if not self.changed.wait_for(lambda: predicate([span for _, span in self.spans]), DEADLINE):
                raise AssertionError(f"not delivered: {what}; {len(self.spans)} spans, {len(self.requests)} requests")
            return predicate([span for _, span in self.spans])

    def wait_requests(self, count):
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.requests) >= count, DEADLINE):
                raise AssertionError(f"{len(self.requests)} of {count} exports")

    def close(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(DEADLINE)
