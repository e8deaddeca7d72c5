// Listeners, recent changes, mesh members, the process, the configuration.

class Listeners {
  constructor() {
    this.body = byId("listeners").tBodies[0];
    this.rows = new Map();
  }
  update(stats, model) {
    const nodes = stats.listeners.map((listener) => {
      if (!this.rows.has(listener.name)) this.rows.set(listener.name, this.build(listener.name));
      const row = this.rows.get(listener.name);
      const numbers = model.numbers("l", listener.name);
      setText(row.address, listener.address);
      setText(row.rate, showRate(numbers.rate));
      setText(row.errors, showShare(numbers.errors));
      setText(row.p99, showMs(numbers.p99));
      const refused = listener.connections_refused;
      setText(row.connections, showCount(listener.connections) + (refused ? " (" + showCount(refused) + " refused)" : ""));
      const replies = Object.entries(listener.local_replies);
      setText(row.replies, replies.map(([flag, n]) => flag + ": " + showCount(n)).join(", ") || "none");
      row.spark.set(model.rates.get("l\n" + listener.name));
      return row.node;
    });
    setChildren(this.body, nodes);
  }
  build(name) {
    const node = make("tr");
    const row = { node, spark: new Sparkline("") };
    makeCell(node, "").textContent = name;
    row.address = makeCell(node, "Address");
    row.rate = makeCell(node, "Requests/s", "n");
    makeCell(node, "5 min", "graph").append(row.spark.svg);
    row.errors = makeCell(node, "5xx", "n");
    row.p99 = makeCell(node, "p99", "n");
    row.connections = makeCell(node, "Connections", "n");
    row.replies = makeCell(node, "Own replies");
    return row;
  }
}

const MOST_EVENTS = 256;
const GOOD = new Set(["closed", "passing", "in_use", "ready", "resolved", "alive", "applied", "unchanged", "read"]);
const WORRYING = new Set(["open", "failing", "ejected", "not_resolved", "dead", "conflict", "rejected"]);

class Events {
  constructor() {
    this.list = byId("events");
    this.list.append(make("li", "empty", "Nothing has changed yet."));
    this.last = 0;
  }
  // Another process: its ids begin anew.
  forget() {
    this.last = 0;
  }
  add(answer) {
    for (const event of answer.events) {
      const first = this.list.firstElementChild;
      if (first && first.className === "empty") first.remove();
      this.list.prepend(this.build(event));
      this.last = event.id;
    }
    while (this.list.children.length > MOST_EVENTS) this.list.lastElementChild.remove();
  }
  build(event) {
    const item = make("li");
    const time = make("time", "quiet", showTime(event.time));
    time.dateTime = new Date(event.time * 1000).toISOString();
    time.title = time.dateTime;
    const what = { process: "Remora", reload: "configuration", dns: "name " + event.endpoint, file: "file " + event.endpoint, member: "member " + event.endpoint }[event.kind];
    const object = event.cluster === undefined ? what || event.kind : event.cluster + " " + (event.endpoint === "*" ? "(all endpoints)" : event.endpoint);
    const level = WORRYING.has(event.to) ? BAD : GOOD.has(event.to) ? OK : WARN;
    const kind = { breaker: "breaker ", health_check: "check ", outlier: "", order: "", dns: "", file: "", member: "", reload: "", process: "" }[event.kind] || "";
    const change = make("span", "change " + level, SIGNS[level] + " " + kind + (event.from ? stateInWords(event.from) + " \u2192 " : "") + stateInWords(event.to));
    item.append(time, make("span", "", object), change, make("span", "reason quiet", reasonInWords(event.reason || "")));
    return item;
  }
}

const MOST_MEMBERS = 200;

function memberLevel(member) {
  return { alive: OK, dead: BAD }[member.state] || WARN;
}

// The worst first; of a large pool as many as one can look at.
function showMembers(members) {
  setHidden(byId("members-section"), members.length === 0);
  const shown = worstFirst(members, memberLevel).slice(0, MOST_MEMBERS);
  byId("members").tBodies[0].replaceChildren(
    ...shown.map((member) => {
      const row = make("tr");
      const level = memberLevel(member);
      makeCell(row, "").textContent = member.name + (member.self ? " (this one)" : "");
      makeCell(row, "State").append(make("span", level, SIGNS[level] + " " + member.state));
      makeCell(row, "For").textContent = showSpan(member.since_seconds);
      makeCell(row, "Address").textContent = member.address;
      makeCell(row, "Tags").textContent = member.tags.map((tag) => tag.name + "=" + tag.value).join(" ") || NOTHING;
      return row;
    }),
  );
  const more = byId("members-more");
  setHidden(more, members.length === shown.length);
  setText(more, showCount(members.length - shown.length) + " more: remora members lists them all.");
}

class Process {
  constructor() {
    this.list = byId("process");
    this.values = new Map();
    this.cpu = null;
  }
  set(name, text) {
    if (!this.values.has(name)) {
      const pair = make("div");
      this.values.set(name, make("dd"));
      pair.append(make("dt", "", name), this.values.get(name));
      this.list.append(pair);
    }
    setText(this.values.get(name), text);
  }
  update(stats) {
    const { process: p, workers } = stats;
    this.set("Ready", stats.ready ? "yes" : "no: " + stats.not_ready_because);
    this.set("Version", stats.version);
    this.set("Up for", showSpan(stats.uptime_seconds));
    this.set("Workers", workers.map((w) => w.worker + ": " + (w.load === "normal" ? "normal load" : w.load)).join(", "));
    this.set("Loop lag, worst of 15 s", workers.map((w) => showMs(w.loop_lag_ms)).join(", "));
    this.set("Memory", showBytes(p.resident_bytes));
    const now = { t: stats.uptime_seconds, cpu: p.cpu_seconds };
    const before = this.cpu;
    if (before && now.t > before.t && now.cpu >= before.cpu) {
      this.set("Processor", showShare((now.cpu - before.cpu) / (now.t - before.t)) + " of a core");
    } else {
      this.set("Processor", NOTHING);
    }
    if (!before || now.t < before.t || now.t - before.t >= WINDOW_SECONDS) this.cpu = now;
    this.set("File descriptors", showCount(p.open_fds) + " of " + showCount(p.max_fds));
    this.set("Threads", String(p.threads));
  }
}

// Fetched when it is opened, and while it is open when a reload has changed it, or has been rejected.
class Config {
  constructor() {
    this.details = byId("config");
    this.details.addEventListener("toggle", () => this.refresh());
  }
  async refresh() {
    if (!this.details.open) return;
    const text = this.details.querySelector("pre");
    try {
      const answer = await fetch("/config");
      setText(text, await answer.text());
    } catch {
      setText(text, "Remora did not answer.");
    }
  }
}
