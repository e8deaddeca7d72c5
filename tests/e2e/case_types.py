"""The words of the protocol table: what one case is, and what may come of it."""

from dataclasses import dataclass, field
from typing import Optional

NOTHING = "nothing"        # not one byte reaches an upstream
INCOMPLETE = "incomplete"  # at most a head and a part of its body reach an upstream, never a whole request


@dataclass
class Up:
    """A request as the upstream must receive it (on top of the normal form, which is always checked)."""
    method: str = "GET"
    target: str = "/"
    body: bytes = b""
    host: Optional[str] = "test"
    has: dict = field(default_factory=dict)    # name -> value of all its lines joined by ", "; None: present
    lacks: tuple = ()
    lines: tuple = ()                          # exact (name, value) lines, in this relative order
    framing: tuple = ("none", "length", "chunked")
    trailers: dict = field(default_factory=dict)
    no_trailers: tuple = ()


@dataclass
class Reply:
    """A response as the client must see it."""
    status: int = 200
    flag: Optional[str] = None                 # None: not a local reply
    body: Optional[bytes] = None               # None: any
    has: dict = field(default_factory=dict)
    lacks: tuple = ()
    lines: tuple = ()
    framing: tuple = ("none", "length", "chunked", "close")
    trailers: dict = field(default_factory=dict)
    no_trailers: tuple = ()
    interim: Optional[tuple] = ()              # statuses of the 1xx before it; None: any
    complete: bool = True
    any_flag: bool = False


@dataclass
class Outcome:
    replies: list
    upstream: object = NOTHING                 # NOTHING, INCOMPLETE or [Up, ...]
    close: Optional[bool] = None               # whether the connection ends after the last reply


@dataclass
class RequestCase:
    name: str
    send: bytes
    outcomes: list
    ref: str = ""
    listener: str = "in"
    then: str = "keep"                         # what the client does after the last byte: keep, fin
    http10: bool = False
    methods: tuple = ("GET",)                  # of the requests, so that replies to HEAD are read right
    dense: bool = True                         # False: long input, cut at a sample of positions only


@dataclass
class ResponseCase:
    name: str
    reply: bytes                               # what the upstream answers, literally
    outcomes: list                             # [Reply], one of them
    ref: str = ""
    then: str = "keep"                         # the upstream after it: keep, close, reset, half-close, stall
    request: bytes = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"
    method: str = "GET"
    http10: bool = False
    reuse: Optional[bool] = None               # whether the next request uses the same upstream connection
    close: Optional[bool] = None               # whether the client's connection ends
    dense: bool = True
