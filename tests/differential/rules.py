"""What Remora must do with each odd thing of generate.py, and why that is right where nginx or HAProxy do otherwise.

S is RFC 9110 (semantics), M is RFC 9112 (messages), U is RFC 3986 (URIs). What stands between two parsers as a proxy
does gains nothing by being tolerant: what it does not understand for certain, somebody behind it may understand otherwise.
"""

import dataclasses
from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    forwards: bool  # alone, in a request that is otherwise as usual; None: as it comes
    why: str
    differs: tuple = ()  # other proxies that may let it through with another meaning


def yes(why, *differs):
    return Rule(True, why, differs)


def no(why, *differs):
    return Rule(False, why, differs)


RULES = {
    "method-unknown": yes("S 9.1: who does not know a method leaves it to the origin"),
    "method-lower": yes("S 9.1: methods are case-sensitive; `get` is one that nobody knows, and the origin's to refuse"),
    "method-search": yes("S 9.1"),
    "method-broken": no("S 5.6.2: no token"),
    "target-absolute": yes("M 3.2.2: a server must accept it, and the target's host counts, not Host", "haproxy"),
    "target-absolute-bare": yes("M 3.2.2, 3.2.1: the empty path is sent as `/`", "haproxy"),
    "target-star": no("M 3.2.4: only OPTIONS has it"),
    "target-star-options": yes("M 3.2.4: the whole server is meant; an origin may know what it can do"),
    "target-fragment": no("M 3.2.1: a target has no fragment"),
    "target-dots": yes("U 6.2.2.3: left as it is, for routes and origin alike"),
    "target-slashes": yes("U 3.3: empty segments are segments"),
    "target-percent-bad": yes("M 3.2: not decoded, so not judged; it reaches the origin as it came"),
    "target-nul-encoded": yes("U 2.1: valid; not decoded, so not judged"),
    "target-high-bytes": no("U 2: a URI is ASCII; others must be encoded"),
    "target-space": no("M 3: more than three words"),
    "target-quote": yes("M 3.2: characters that ought to be encoded, and mean nothing here; no parser takes them for an end"),
    "target-no-slash": no("M 3.2.1"),
    "version-2.0": no("S 2.5: 505, another major version"),
    "version-1.2": yes("S 2.5: a higher minor version is read as the highest known"),
    "version-lower": no("M 2.3: case-sensitive"),
    "version-zeros": no("M 2.3: one digit"),
    "version-none": no("M 3: HTTP/0.9 is not spoken"),
    "line-two-spaces": no("M 3: one space; more may be accepted, which others read otherwise"),
    "line-tab": no("M 3: one space"),
    "line-space-behind": no("M 3: no blank there"),
    "lines-lf": no("M 2.2: a lone LF may be taken for an end of line, so two parsers can differ"),
    "lines-cr": no("M 2.2: a lone CR is invalid"),
    "empty-line-before": yes("M 2.2: at least one should be ignored"),
    "empty-lf-before": no("M 2.2: CRLF should be ignored; a lone LF is no line"),
    "host-none": no("M 3.2: 400"),
    "host-twice": no("M 3.2: 400"),
    "host-twice-same": no("M 3.2: 400, also when both say the same"),
    "host-empty": no("S 4.2.1: an http URI has a host"),
    "host-port": yes("S 7.2"),
    "host-broken": no("M 3.2: 400 for an invalid value"),
    "host-slash": no("M 3.2: 400 for an invalid value"),
    "host-at": no("S 4.2.4: userinfo hides which host is meant; S 7.2 has none"),
    "field-space-before-colon": no("M 5.1: 400"),
    "field-no-colon": no("M 5"),
    "field-no-name": no("S 5.1: a name is a token"),
    "field-folded": no("M 5.2: 400 or spaces; parsers differ"),
    "field-folded-tab": no("M 5.2: 400 or spaces; parsers differ"),
    "field-indented-first": no("M 2.2: refuse, or ignore the line"),
    "field-empty": yes("S 5.5"),
    "field-blanks": yes("S 5.5: blanks around are no part of the value"),
    "field-nul": no("S 5.5: invalid and dangerous"),
    "field-cr": no("S 5.5: invalid and dangerous"),
    "field-control": no("S 5.5: invalid"),
    "field-del": no("S 5.5: invalid"),
    "field-high-bytes": yes("S 5.5: obs-text, opaque"),
    "field-name-high": no("S 5.1: a name is a token"),
    "field-name-underscore": yes("S 5.6.2: a token"),
    "field-name-odd": yes("S 5.6.2: a token"),
    "field-name-broken": no("S 5.1: a name is a token"),
    "field-twice": yes("S 5.3: order kept"),
    "connection-names": yes("S 7.6.1: what Connection names goes no further"),
    "connection-content-length": no("S 7.6.1: Connection must not name what is for all; to obey would take the body's end away"),
    "connection-host": no("S 7.6.1: the same; to obey would take the host away"),
    "length-zeros": yes("S 8.6: digits; sent on without the zeros"),
    "length-plus": no("S 8.6: digits only"),
    "length-minus": no("S 8.6: digits only"),
    "length-hex": no("S 8.6: digits only"),
    "length-empty": no("S 8.6: digits only"),
    "length-list-same": no("S 8.6: may be refused; who reads only the first differs from who reads all"),
    "length-list-other": no("M 6.3, 5"),
    "length-twice-same": no("S 8.6: may be refused; who reads only the first differs from who reads all"),
    "length-twice-other": no("M 6.3, 5"),
    "length-huge": no("S 8.6: must not overflow"),
    "length-space-inside": no("S 8.6: digits only"),
    "length-dot": no("S 8.6: digits only"),
    "length-short-body": Rule(None, "M 8: the origin sees an incomplete request, never a whole one"),
    "length-space-before-colon": no("M 5.1: 400"),
    "length-folded": no("M 5.2"),
    "length-underscore": yes("S 5.1: a field like any other; nginx and HAProxy send it on or drop it, no one takes it for the other"),
    "length-with-get": yes("S 9.3.1: a body without a meaning, framed as any"),
    "both-framings": no("M 6.1: a sign of smuggling; refused instead of dropping Content-Length"),
    "chunked-1.0": no("M 6.1: faulty framing"),
    "coding-upper": yes("M 7: names of codings have no case"),
    "coding-twice": no("M 6.1: never more than once"),
    "coding-other": no("M 6.1: 501"),
    "coding-not-last": no("M 6.3, 4: 400"),
    "coding-identity": no("M 7: no such coding any more"),
    "coding-unknown": no("M 6.1: 501"),
    "coding-empty": no("M 6.1: nothing says where the body ends"),
    "coding-quoted": no("M 7: a token"),
    "coding-parameter": no("M 7.1: chunked has no parameters"),
    "coding-vertical-tab": no("S 5.5: invalid"),
    "coding-comma": no("S 5.6.1.2: empty elements may be ignored, which others do not"),
    "coding-two-lines": no("M 6.3, 4: chunked is not the last"),
    "coding-space-before-colon": no("M 5.1: 400"),
    "chunk-upper": yes("M 7.1"),
    "chunk-zeros": yes("M 7.1: sizes are sent on without the zeros"),
    "chunk-extension": yes("M 7.1.1: taken off"),
    "chunk-extension-bare": yes("M 7.1.1: taken off"),
    "chunk-extension-lf": no("M 2.2: a lone LF in an extension is read as its end by some"),
    "chunk-blank-behind": no("M 7.1: no blank there"),
    "chunk-blank-before": no("M 7.1: no blank there"),
    "chunk-hex-prefix": no("M 7.1: digits only"),
    "chunk-minus": no("M 7.1: digits only"),
    "chunk-empty-size": no("M 7.1: one digit at least"),
    "chunk-huge": no("M 7.1: must not overflow"),
    "chunk-lf": no("M 7.1: CRLF; nothing allows a lone LF in a body's framing"),
    "chunk-cr": no("M 7.1: CRLF"),
    "chunk-too-long": no("M 7.1: CRLF behind the data"),
    "chunk-unended": no("M 7.1.2: what follows is no trailer field", "nginx"),
    "chunk-no-last": no("M 7.1"),
    "trailer": yes("M 7.1.2"),
    "trailer-length": no("S 6.5.1: framing must not come in trailers"),
    "trailer-broken": no("S 5.1: a name is a token"),
    "trailer-lf": no("M 2.2: a lone LF"),
}

# Readers may refuse what they do not serve: that misleads nobody. To read it otherwise would.
LLHTTP_METHODS = set(b"""DELETE GET HEAD POST PUT CONNECT OPTIONS TRACE COPY LOCK MKCOL MOVE PROPFIND PROPPATCH SEARCH UNLOCK
BIND REBIND UNBIND ACL REPORT MKACTIVITY CHECKOUT MERGE M-SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE PATCH PURGE MKCALENDAR LINK
UNLINK SOURCE""".split())


def may_refuse(who, request):
    """`request`: as it plainly is."""
    if who == "llhttp":
        return request.method not in LLHTTP_METHODS
    if who == "nginx":  # methods in capitals; no target but a path, and none that it cannot decode
        capitals = all(c in b"ABCDEFGHIJKLMNOPQRSTUVWXYZ_-" for c in request.method)
        return not capitals or request.method == b"TRACE" or not request.target.startswith(b"/") or not decodes(request.target)
    return False


def decodes(target):
    """Every % of the path is followed by two digits, and none of it is the NUL byte."""
    for part in target.partition(b"?")[0].split(b"%")[1:]:
        try:
            if len(part) < 2 or int(part[:2], 16) == 0 or part[:1] in b"+-":
                return False
        except ValueError:
            return False
    return True


def as_read_by(who, request):
    """`request` as `who` is known to read it."""
    if who == "http.server" and request.target.startswith(b"//"):
        # It takes the first slashes of an open redirect away (CPython's gh-87389); that is behind its parser.
        return dataclasses.replace(request, target=b"/" + request.target.lstrip(b"/"))
    return request
