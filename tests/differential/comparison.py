"""What comparing requests (run) and responses (responses) have in common: options, counts, what is printed."""

import argparse
import asyncio
import collections
import os
import sys
import tempfile

from lanes import start_lane
from readers import Llhttp

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, os.pardir)
PROXIES = ("remora", "nginx", "haproxy")
SHOWN = 20  # messages with disagreements that are shown whole


class Comparison:
    """Of one run. A subclass says: WHAT is let through, ODD (the names), RULES, ORIGIN (of every lane), LANES, and what is to be
    done with a message."""

    def __init__(self, lanes, llhttp, options):
        self.lanes = lanes
        self.llhttp = llhttp
        self.judged = options.judge
        self.verbose = options.verbose
        self.messages = 0
        self.let_through = 0
        self.failures = []
        self.decided = collections.defaultdict(collections.Counter)  # (odd thing, proxy) -> verdicts

    def note(self, number, message, problems, verdicts, shown):
        """`verdicts` by proxy; `shown`: lines about the message and what came of it."""
        self.messages += 1
        if len(message.names) == 1 and not message.damaged:
            for name, verdict in verdicts.items():
                self.decided[message.names[0], name][verdict] += 1
        if problems:
            self.failures.append((number, message, problems))
        if self.verbose or (problems and len(self.failures) <= SHOWN):
            print(f"--- message {number}: {' + '.join(message.names)}{', damaged' if message.damaged else ''}")
            for line in (repr(message.data), *shown, *(f"FAILS: {problem}" for problem in problems)):
                print(f"    {line}")

    def table(self):
        """Rows of markdown: where another proxy decides otherwise, and why Remora is right."""
        yield "| what is odd | Remora | nginx | HAProxy | why |"
        yield "|---|---|---|---|---|"
        for name in self.ODD:
            verdicts = ["/".join(sorted(self.decided[name, proxy])) for proxy in PROXIES]
            if len({v == "forwards" for v in verdicts}) > 1:
                yield f"| `{name}` | {' | '.join(verdicts)} | {self.RULES[name].why} |"


async def compare(kind, messages, options, directory):
    lanes = {}
    llhttp = Llhttp(directory)
    try:
        for name in kind.LANES:
            lanes[name] = await start_lane(name, options.remora, directory, kind.ORIGIN())
        comparison = kind(lanes, llhttp, options)
        for number, message in enumerate(messages(options.seed, options.messages)):
            if options.only is None or number == options.only:
                await comparison.message(number, message)
        return comparison
    finally:
        llhttp.close()
        for lane in lanes.values():
            lane.child.stop()


def main(kind, messages, description):
    """`kind`: a subclass of Comparison; `messages(seed, count)` makes what is sent."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--messages", type=int, default=400)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--only", type=int, help="the number of a message")
    parser.add_argument("--judge", choices=PROXIES, default="remora")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("-v", "--verbose", action="store_true")
    options = parser.parse_args()
    options.remora = os.path.abspath(os.environ.get("REMORA_BIN", os.path.join(ROOT, "build/release/remora")))
    if options.only is not None:
        options.messages = max(options.messages, options.only + 1)
    with tempfile.TemporaryDirectory(prefix="remora-differential-") as directory:
        os.chmod(directory, 0o711)
        comparison = asyncio.run(compare(kind, messages, options, directory))
    if options.table:
        print("\n".join(comparison.table()))
    print(f"{comparison.messages} messages of seed {options.seed}: {comparison.let_through} {kind.WHAT} let through, "
          f"{len(comparison.failures)} messages with disagreements")
    for number, message, problems in comparison.failures[SHOWN:2 * SHOWN]:
        print(f"also message {number} ({' + '.join(message.names)}): {problems[0]}")
    sys.exit(1 if comparison.failures else 0)
