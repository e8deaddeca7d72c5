"""The protocol table: what clients and upstreams send, and what the other side must see of it.

Each entry is data; protocol_test.py runs it whole, byte by byte, and cut in two at every position. `ref` says
where the rule is from: S = RFC 9110, M = RFC 9112, "gap" = something that llhttp lets through. Where the RFCs
leave a choice that Remora's documents do not settle, a case lists several outcomes; it must then show the
same one however its bytes are split. @SELF@ stands for the running Remora's name in Via.
"""

import request_forwarding_cases  # noqa: F401  (importing fills request_words.CASES)
import request_framing_cases  # noqa: F401
import request_head_cases  # noqa: F401
import request_words
import response_cases

REQUEST_CASES = request_words.CASES
RESPONSE_CASES = response_cases.CASES
