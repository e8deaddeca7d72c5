"""Turns what the scenarios measured into one markdown table: a line for each figure, a column for each
proxy."""

from report import table

MIB = 1 << 20


def count(value):
    return f"{value:,.0f}"


def seconds(value):
    return "never" if value is None else f"{value:.1f} s"


def milliseconds(value):
    if value is None:
        return "-"
    return f"{value:.2f} ms" if value < 10 else f"{value:.1f} ms"


def microseconds(value):
    return f"{value:.1f} us"


def share(value):
    return "-" if value is None else f"{value * 100:.1f} %"


def ratio(value):
    return f"{value:.2f}"


def mib(value):
    return f"{value / MIB:.1f} MiB"


def rate(value):
    return f"{value:,.0f}/s"


ERRORS = ("errors", "errors seen by clients", count)
RECOVERY = ("recovery", "time to recover", seconds)
LOAD = ("load", "upstream requests per client request", ratio)

# Scenario -> (what happens, figures). A figure: key of the result, what it is, how it is shown.
FIGURES = {
    "a": ("kill -9 of one of three, under load",
          (("requests", "requests", count), ERRORS, RECOVERY, ("worst_ms", "slowest request", milliseconds))),
    "b": ("one of three accepts and never answers",
          (("requests", "requests", count), ERRORS, RECOVERY, LOAD,
           ("normal_p99_ms", "p99 before", milliseconds), ("late_p99_ms", "p99 from 2 s after", milliseconds),
           ("hung_early", "requests sent to it, first 2 s", count),
           ("hung_late", "requests sent to it, the 4 s after", count))),
    "c": ("all backends dead",
          (("answered_503", "answered with 503", share),
           ("rejected_p50_ms", "rejected in, p50", milliseconds),
           ("rejected_p99_ms", "rejected in, p99", milliseconds),
           ("below_1_ms", "rejected within 1 ms", share),
           ("rejected_cpu_us", "CPU per rejected request", microseconds),
           ("served_cpu_us", "CPU per served request", microseconds))),
    "d": ("a dead backend returns",
          (ERRORS, ("first_s", "first request after", seconds),
           ("first_half_share", "of its fair share, first 500 ms", share),
           ("full_s", "90 % of its fair share after", seconds))),
    "e": ("every backend answers 503, retried",
          (("requests", "requests", count), LOAD,
           ("load_no_breaker", "the same with breakers off", ratio))),
    "f": ("four workers, one of two answers 503",
          (ERRORS, ("first_burst", "failures before it got a pause", count),
           ("later_bursts", "probes in the rest of 8 s", count),
           ("largest_later", "requests in the largest probe", count))),
    "g": ("POSTs, backends reset, hang, refuse",
          (("requests", "requests", count), ("twice", "POSTs that arrived twice", count),
           ("failed_share", "failed", share), ("keyed_errors", "failed, with Idempotency-Key", share))),
    "h": ("ten times the capacity",
          (("goodput", "goodput", rate), ("goodput_share", "of the capacity", share),
           ("good_p99_ms", "p99 of the good", milliseconds), ("unanswered", "clients that gave up", share),
           ("most_in_flight", "most in flight at one backend", count),
           ("memory_start", "memory before", mib), ("memory_most", "memory at most", mib))),
}


def summary(scenarios, names, results):
    rows = []
    for letter in scenarios:
        text, figures = FIGURES[letter]
        rows.append([f"**({letter}) {text}**", *("" for _ in names)])
        for key, label, show in figures:
            rows.append([label, *(show(results[letter][name][key]) for name in names)])
    return table(["scenario", *names], rows)
