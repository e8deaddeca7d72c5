"""Turns the rounds of tests/bench/compare into aligned markdown tables."""

import statistics

MIB = 1 << 20


def median_of(rounds, key):
    return statistics.median(one[key] for one in rounds)


def ratio(rounds, base, key):
    """The median of the rounds' own ratios: what drifts slowly hits both sides of one round alike."""
    return statistics.median(mine[key] / other[key] for mine, other in zip(rounds, base))


def summarise(rounds, floor):
    """The medians of one proxy's rounds; `floor` is the floor's rounds of the same scenario, or None."""
    summary = {key: median_of(rounds, key) for key in rounds[0]}
    summary["errors"] = sum(one["errors"] for one in rounds)
    summary["requests"] = sum(one["requests"] for one in rounds)
    if "cpu_us" in summary:
        costs = [one["cpu_us"] for one in rounds]
        summary["cpu_us_lowest"] = min(costs)
        summary["spread"] = (max(costs) - min(costs)) / summary["cpu_us"]
        if floor:
            summary["cpu_ratio"] = ratio(rounds, floor, "cpu_us")
            summary["rate_ratio"] = ratio(rounds, floor, "requests_per_second")
    return summary


def number(value, digits=0):
    return "-" if value is None else f"{value:,.{digits}f}"


def times(value):
    return "-" if value is None else f"{value:.2f} x"


def percent(value):
    return f"{value * 100:.0f} %"


def table(header, rows):
    """A markdown table that is also readable as plain text: first column left, the others right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]

    def line(cells):
        rest = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:])]
        return "| " + " | ".join([cells[0].ljust(widths[0]), *rest]) + " |"

    rule = "|" + "-" * (widths[0] + 2) + "|" + "".join("-" * (width + 1) + ":|" for width in widths[1:])
    return "\n".join([line(header), rule, *map(line, rows)])


LOAD_HEADER = ["proxy", "req/s", "p50 us", "p99 us", "CPU us/req", "lowest", "of it user", "CPU / floor",
               "rate / floor", "spread", "busy", "wait", "RSS MiB", "errors"]


def load_row(proxy, s):
    return [proxy, number(s["requests_per_second"]), number(s["p50_us"]), number(s["p99_us"]),
            number(s["cpu_us"], 2), number(s["cpu_us_lowest"], 2), number(s["user_us"], 2),
            times(s.get("cpu_ratio")), times(s.get("rate_ratio")), percent(s["spread"]), percent(s["busy"]),
            percent(s["wait"]), number(s["rss"] / MIB, 1), number(s["errors"])]


BULK_HEADER = ["proxy", "MiB/s", "CPU ms/GiB", "lowest", "of it user", "CPU / floor", "rate / floor", "spread", "busy", "wait",
               "RSS MiB"]
PER_GIB = 1.024  # from microseconds per MiB to milliseconds per GiB


def bulk_row(proxy, s):
    return [proxy, number(s["mib_per_second"]), number(s["cpu_us"] * PER_GIB), number(s["cpu_us_lowest"] * PER_GIB),
            number(s["user_us"] * PER_GIB), times(s.get("cpu_ratio")), times(s.get("rate_ratio")), percent(s["spread"]),
            percent(s["busy"]), percent(s["wait"]), number(s["rss"] / MIB, 1)]


IDLE_HEADER = ["proxy", "RSS at start MiB", "RSS warm MiB", "RSS with all MiB", "bytes/connection",
               "idle CPU", "errors"]


def idle_row(proxy, s):
    return [proxy, number(s["rss_start"] / MIB, 1), number(s["rss_warm"] / MIB, 1), number(s["rss"] / MIB, 1),
            number(s["per_connection"]), f"{s['idle_cpu'] * 100:.2f} %", number(s["errors"])]


def is_bulk(scenario):
    return scenario.name.startswith("bulk")


def scenario_table(scenario, summaries):
    header, row = ((IDLE_HEADER, idle_row) if scenario.name == "idle" else
                   (BULK_HEADER, bulk_row) if is_bulk(scenario) else (LOAD_HEADER, load_row))
    return table(header, [row(proxy, s) for proxy, s in summaries.items()])


def closing_table(scenarios, proxies, summaries):
    """One line per scenario: CPU per request (or memory per connection), with its ratio to the floor."""
    rows = []
    for scenario in scenarios:
        row = [scenario.name]
        for proxy in proxies:
            s = summaries[scenario.name][proxy]
            if scenario.name == "idle":
                row.append(f"{number(s['per_connection'])} B/conn")
            else:
                share = f" ({times(s['cpu_ratio'])})" if "cpu_ratio" in s else ""
                cost = f"{number(s['cpu_us'] * PER_GIB)} ms/GiB" if is_bulk(scenario) else f"{number(s['cpu_us'], 2)} us"
                row.append(cost + share)
        rows.append(row)
    start = ["RSS at start"]
    errors = ["errors"]
    for proxy in proxies:
        mine = [summaries[scenario.name][proxy] for scenario in scenarios]
        start.append(f"{number(statistics.median(s['rss_start'] for s in mine) / MIB, 1)} MiB")
        errors.append(number(sum(s["errors"] for s in mine)))
    return table(["CPU per request", *proxies], [*rows, start, errors])


def remora_ratios(scenarios, rounds):
    """Remora against each other proxy, by CPU per request, from the rounds' own ratios."""
    rows = []
    for scenario in scenarios:
        mine = rounds[scenario.name].get("remora")
        if not mine or scenario.name == "idle":
            continue
        others = {proxy: them for proxy, them in rounds[scenario.name].items() if proxy != "remora"}
        rows.append([scenario.name, *(times(ratio(mine, them, "cpu_us")) for them in others.values())])
    if not rows or len(rows[0]) == 1:
        return ""
    return table(["CPU per request", *(f"remora / {proxy}" for proxy in others)], rows)


# What makes a reader distrust the numbers: key of the summary, tolerance, meaning, how it is shown.
DOUBTS = (
    ("errors", 0, "errors", number),
    ("wait", 0.05, "ready but not running, as something else used the proxy's core", percent),
    ("stolen", 0.02, "time taken by the hypervisor", percent),
    ("spread", 0.10, "CPU per request differs between rounds", percent),
)


def warnings(scenarios, summaries):
    lines = []
    for scenario in scenarios:
        for key, tolerated, meaning, show in DOUBTS:
            over = [f"{proxy} {show(s[key])}" for proxy, s in summaries[scenario.name].items()
                    if s.get(key, 0) > tolerated]
            if over:
                lines.append(f"{scenario.name}: {meaning}: {', '.join(over)}")
    return lines
