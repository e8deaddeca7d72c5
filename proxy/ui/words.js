// States in words, and what is wrong in sentences. Pure.

const OK = "ok";
const WARN = "warn";
const BAD = "bad";
const SIGNS = { ok: "\u2713", warn: "!", bad: "\u2715" };

const REASONS = {
  consecutive_failures: "failures in a row",
  failure_ratio: "too many failures",
  slow_ratio: "too many slow responses",
  probe_failed: "the probe failed",
  probes_succeeded: "probes succeeded",
  time_to_probe: "time for a probe",
  manual: "by order",
  success_rate: "success rate far below the others",
  failure_percentage: "too many failures",
};
const STATES = {
  half_open: "half-open",
  in_use: "in use",
  not_resolved: "not resolved",
};
const LOADS = {
  trim: "keep-alives end",
  shed: "new requests get 503",
  refuse: "nothing is accepted",
};

const inWords = (reason) => REASONS[reason] || reason;
const stateInWords = (state) => STATES[state] || state;

// "success_rate: 50 % of ..." has a code, then numbers.
function reasonInWords(text) {
  const [code, ...rest] = text.split(": ");
  if (!REASONS[code]) return text;
  return rest.length ? REASONS[code] + ": " + rest.join(": ") : REASONS[code];
}

// Of an endpoint that is well, only for a while.
function lastFailure(endpoint) {
  const last = endpoint.last_failure;
  const old = last && endpoint.why === undefined && last.seconds_ago > 600;
  return last && !old ? "last failure: " + last.what + ", " + showSpan(last.seconds_ago) + " ago" : "";
}

function breakerWords(breaker) {
  if (!breaker || breaker.state === "closed") {
    const failures = breaker && breaker.consecutive_failures;
    return "breaker closed" + (failures ? ", " + plural(failures, "failure", "failures") + " in a row" : "");
  }
  const since = breaker.changed_seconds_ago;
  const text = "breaker " + stateInWords(breaker.state) + (since === undefined ? "" : " for " + showSpan(since));
  if (breaker.state !== "open") return text;
  if (breaker.forced) return text + ", until closed by order";
  if (breaker.probes_in_seconds === undefined) return text;
  return text + (breaker.probes_in_seconds > 0 ? ", probes in " + showSpan(breaker.probes_in_seconds) : ", probes with the next request");
}

// The worst first, else as they were; `levelOf` gives the level of one.
function worstFirst(list, levelOf) {
  const rank = { bad: 0, warn: 1, ok: 2 };
  return [...list].sort((a, b) => rank[levelOf(a)] - rank[levelOf(b)]);
}

// {level, word, why}: an endpoint as one state.
function endpointState(endpoint) {
  switch (endpoint.why) {
    case undefined:
      break;
    case "draining":
      return { level: WARN, word: "draining", why: "draining by order" };
    case "removed":
      return { level: OK, word: "removed, finishing", why: "removed" };
    case "member":
      return { level: BAD, word: "left the mesh", why: "left the mesh" };
    case "active_check":
      if (endpoint.check && endpoint.check.state === "unknown") {
        return { level: WARN, word: "not checked yet", why: "not checked yet" };
      }
      return { level: BAD, word: "check fails", why: "health check fails" + (endpoint.check && endpoint.check.reason ? " (" + endpoint.check.reason + ")" : "") };
    case "ejected": {
      const left = endpoint.outlier && endpoint.outlier.for_seconds;
      return { level: BAD, word: "ejected" + (left !== undefined ? ", " + showSpan(left) + " left" : ""), why: "ejected" };
    }
    case "breaker": {
      const why = breakerWords(endpoint.breaker) + (endpoint.last_failure ? " (" + endpoint.last_failure.what + ")" : "");
      return { level: BAD, word: "breaker open", why };
    }
    default:
      return { level: BAD, word: endpoint.why, why: endpoint.why };
  }
  if (endpoint.breaker && endpoint.breaker.state !== "closed") {
    return { level: WARN, word: "on probation", why: breakerWords(endpoint.breaker) };
  }
  if (endpoint.share !== undefined) {
    return { level: OK, word: "recovering, " + showShare(endpoint.share) + " share", why: "" };
  }
  return { level: OK, word: "available", why: "" };
}

// "breaker open for 12 s (connect failure); draining": the reasons of some endpoints, each once.
function joinReasons(states) {
  const reasons = new Map();
  for (const { why } of states) {
    const kind = why.split(/ for | \(|, /)[0];
    const known = reasons.get(kind);
    if (known) ++known.count;
    else reasons.set(kind, { why, count: 1 });
  }
  const single = reasons.size === 1;
  return [...reasons.values()].map(({ why, count }) => (single || count === 1 ? why : count + " \u00d7 " + why)).join("; ");
}

// {level, text, up, all}: a cluster in a sentence; text is "" when it is well.
function clusterState(cluster) {
  const all = cluster.endpoints.filter((e) => e.why !== "removed");
  const states = all.map(endpointState);
  const down = states.filter((s, i) => all[i].why !== undefined);
  const up = all.length - down.length;
  const state = { level: OK, text: "", up, all: all.length };
  if (cluster.breaker && cluster.breaker.state === "open") {
    return { ...state, level: BAD, text: "the shared " + breakerWords(cluster.breaker) };
  }
  if (all.length === 0 && cluster.anywhere) return state; // nobody is going anywhere
  if (all.length === 0) return { ...state, level: BAD, text: "no endpoint is known" };
  if (up === 0) {
    const who = all.length === 1 ? "its only endpoint is not available" : "none of " + all.length + " endpoints is available";
    return { ...state, level: BAD, text: who + ": " + joinReasons(down) };
  }
  if (down.length > 0) {
    const who = down.length + " of " + all.length + " endpoints " + (down.length === 1 ? "is" : "are") + " not available: ";
    return { ...state, level: WARN, text: who + joinReasons(down) };
  }
  if (cluster.panic) return { ...state, level: WARN, text: "too few endpoints pass their checks, so checks are ignored" };
  const probation = states.filter((s) => s.level === WARN);
  if (probation.length > 0) {
    return { ...state, level: WARN, text: probation.length + " of " + all.length + " endpoints on probation: " + joinReasons(probation) };
  }
  return state;
}

// Of a source of endpoints that fails; "" while it waits for its first answer.
function sourceWords(source) {
  if (source.state !== "stale" && source.state !== "failing") return "";
  const since = source.state === "stale" ? "the endpoints are from " + showSpan(source.answered_seconds_ago) + " ago" : "there was no answer yet";
  return source.source + " " + source.name + " fails, " + since + ": " + source.error;
}

const MUCH = 0.05; // of the requests fail: worth a headline
const LAG_MS = 250;

// The level of failing requests to a cluster.
function errorLevel(cluster, model) {
  const { errors, rate } = model.numbers("c", cluster.name);
  if (!(errors >= MUCH && rate >= 1)) return OK;
  return errors >= 0.5 ? BAD : WARN;
}

// Everything that is wrong, the worst first: [{level, text}].
function findProblems(stats, model) {
  const problems = [];
  const add = (level, text) => problems.push({ level, text });
  if (!stats.ready) add(BAD, "Not ready: " + (stats.not_ready_because || "unknown reason"));
  const rejected = stats.reload_rejected;
  if (rejected) {
    const more = rejected.errors > 1 ? "; and " + (rejected.errors - 1) + " more, see the configuration below" : "";
    add(WARN, "The configuration was rejected " + showSpan(rejected.seconds_ago) + " ago, the one before it is at work: " + rejected.first + more);
  }
  for (const cluster of stats.clusters) {
    const state = clusterState(cluster);
    if (state.text) add(state.level, cluster.name + ": " + state.text);
    for (const source of cluster.sources || []) {
      const text = sourceWords(source);
      if (text) add(WARN, cluster.name + ": " + text);
    }
    const level = errorLevel(cluster, model);
    const { errors } = model.numbers("c", cluster.name);
    if (level !== OK) add(level, cluster.name + ": " + showShare(errors) + " of the requests end with 5xx");
  }
  if (stats.workers_missing) {
    const all = stats.workers.length + stats.workers_missing;
    const verb = stats.workers_missing === 1 ? " does" : " do";
    add(BAD, stats.workers_missing + " of " + plural(all, "worker", "workers") + verb + " not answer: nobody is served there, and the numbers are missing");
  }
  for (const worker of stats.workers) {
    if (worker.load !== "normal") add(BAD, "Worker " + worker.worker + " sheds load: " + (LOADS[worker.load] || worker.load));
    if (worker.loop_lag_ms >= LAG_MS) add(WARN, "Worker " + worker.worker + " was held up for " + showMs(worker.loop_lag_ms) + " within the last half minute");
  }
  const { open_fds: open, max_fds: most } = stats.process;
  if (most && open > most * 0.9) add(WARN, open + " of " + most + " file descriptors are in use");
  return [...problems.filter((p) => p.level === BAD), ...problems.filter((p) => p.level === WARN)];
}

function wellDetail(stats) {
  const endpoints = stats.clusters.reduce((n, c) => n + c.endpoints.length, 0);
  if (stats.clusters.length === 0) return "No cluster is configured: Remora answers by itself.";
  const those = endpoints === 1 ? "The only endpoint" : "All " + endpoints + " endpoints";
  return those + " of " + plural(stats.clusters.length, "cluster", "clusters") + (endpoints === 1 ? " is" : " are") + " available.";
}
