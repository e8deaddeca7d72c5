// The clusters, those with problems first, each a line that opens to its endpoints. What is not open has no
// nodes: 200 clusters of 10 endpoints stay fluid.

const AUTO_OPEN = 6; // so many with problems are opened unasked
const OPEN_WHEN_FEW = 12; // endpoints in all: then everything is open

const ORDERS = {
  open: { verb: "Open breaker", title: "Open the breaker of", text: "No request goes there until the breaker is closed by order." },
  close: { verb: "Close breaker", title: "Close the breaker of", text: "Requests go there at once; its failures are forgotten." },
  drain: { verb: "Drain", title: "Drain", text: "New requests go elsewhere; those in flight end as they would. It stays so until undrained, or until Remora restarts." },
  undrain: { verb: "Undrain", title: "Use again", text: "New requests may go there again." },
};

// Sends an order once the operator has confirmed it.
async function giveOrder(cluster, endpoint, order) {
  const { verb, title, text } = ORDERS[order];
  const who = endpoint === "" ? cluster : endpoint + " of " + cluster;
  if (!(await confirmed(title + " " + who + "?", text, verb))) return;
  const path = endpoint === "" ? "" : "/endpoints/" + encodeURIComponent(endpoint);
  try {
    const answer = await fetch("/clusters/" + encodeURIComponent(cluster) + path + "/" + order, { method: "POST" });
    toast(answer.ok ? verb + ": done" : verb + ": " + (await answer.text()).trim());
  } catch {
    toast(verb + ": Remora did not answer");
  }
}

function orderButton(cell, cluster, endpoint) {
  const button = make("button");
  button.type = "button";
  button.onclick = () => giveOrder(cluster, endpoint, button.dataset.order);
  cell.append(button);
  return button;
}

function setOrder(button, order, who) {
  button.dataset.order = order;
  setText(button, ORDERS[order].verb);
  setAttribute(button, "aria-label", ORDERS[order].verb + " " + who);
}

class EndpointRow {
  constructor(cluster, address) {
    this.cluster = cluster;
    this.node = make("tr");
    this.name = makeCell(this.node, "");
    this.state = makeCell(this.node, "State", "state");
    this.check = makeCell(this.node, "Health check");
    this.traffic = makeCell(this.node, "Traffic");
    this.rate = makeCell(this.node, "Requests/s", "n");
    this.failures = makeCell(this.node, "Failures/s", "n");
    this.active = makeCell(this.node, "In flight", "n");
    this.latency = makeCell(this.node, "Latency", "n latency");
    this.buttons = makeCell(this.node, "", "buttons");
    this.breaker = orderButton(this.buttons, cluster, address);
    this.drain = orderButton(this.buttons, cluster, address);
  }
  update(endpoint, cluster, model) {
    const state = endpointState(endpoint);
    const numbers = model.last ? model.recent.endpoint(this.cluster, endpoint) : { rate: NaN, failures: NaN };
    setLines(this.name, [endpoint.address, endpoint.name, endpoint.zone && "zone " + endpoint.zone]);
    setText(this.state, SIGNS[state.level] + " " + state.word);
    setClass(this.state, "state " + state.level);
    const check = endpoint.check;
    const failed = check && check.reason && check.failed_seconds_ago !== undefined;
    this.check.classList.toggle("none", !check);
    setLines(this.check, [check ? check.state : "none", failed && check.reason + ", " + showSpan(check.failed_seconds_ago) + " ago"]);
    setLines(this.traffic, this.trafficLines(endpoint, cluster));
    setText(this.rate, showRate(numbers.rate));
    setNumber(this.failures, showRate(numbers.failures));
    setNumber(this.active, String(endpoint.active || 0));
    setNumber(this.latency, endpoint.latency_ms ? showMs(endpoint.latency_ms) : NOTHING);
    const removed = endpoint.why === "removed";
    const open = endpoint.breaker && endpoint.breaker.state !== "closed";
    setHidden(this.breaker, removed || cluster.shared_breaker === true);
    setHidden(this.drain, removed);
    setOrder(this.breaker, open ? "close" : "open", endpoint.address);
    setOrder(this.drain, endpoint.draining ? "undrain" : "drain", endpoint.address);
  }
  trafficLines(endpoint, cluster) {
    const breaker = cluster.shared_breaker ? "" : breakerWords(endpoint.breaker);
    const why = endpoint.breaker && endpoint.breaker.state !== "closed" && endpoint.breaker.reason;
    const outlier = endpoint.outlier;
    let ejected = "";
    if (outlier) {
      ejected = outlier.ejected ? "ejected, back in " + showSpan(outlier.for_seconds) : "ejected " + plural(outlier.ejections, "time", "times") + " lately";
      if (outlier.reason) ejected += " (" + reasonInWords(outlier.reason) + ")";
    }
    return [breaker || (ejected ? "" : "shared breaker"), why && "reason: " + inWords(why), ejected, lastFailure(endpoint)];
  }
}

class ClusterRow {
  constructor(name) {
    this.name = name;
    this.wish = null; // what the operator wants: open or not
    this.node = make("div", "cluster");
    this.button = make("button", "row");
    this.button.type = "button";
    this.button.onclick = () => {
      this.wish = !this.isOpen();
      this.refresh();
    };
    this.arrow = make("span", "arrow");
    this.arrow.setAttribute("aria-hidden", "true");
    this.label = make("span", "name", name);
    this.status = make("span", "status");
    this.rate = make("span", "n rate");
    this.spark = new Sparkline("graph");
    this.errors = make("span", "n");
    this.p99 = make("span", "n");
    this.flight = make("span", "n flight");
    this.button.append(this.arrow, this.label, this.status, this.rate, this.spark.svg, this.errors, this.p99, this.flight);
    this.node.append(this.button);
    this.more = null;
    this.endpoints = new Map();
  }
  isOpen() {
    return this.more !== null;
  }
  // How it is now; `open`: unless the operator wishes otherwise.
  update(cluster, state, model, open) {
    this.cluster = cluster;
    this.state = state;
    this.model = model;
    this.auto = open;
    const numbers = model.numbers("c", this.name);
    const up = state.up === state.all ? plural(state.all, "endpoint", "endpoints") + " available" : state.up + " of " + state.all + " available";
    setText(this.status, SIGNS[state.level] + " " + up);
    setClass(this.status, "status " + state.level);
    this.number(this.rate, showRate(numbers.rate), "/s");
    this.number(this.errors, showShare(numbers.errors), "5xx");
    this.number(this.p99, showMs(numbers.p99), "p99");
    const active = cluster.endpoints.reduce((n, e) => n + (e.active || 0), 0);
    this.number(this.flight, String(active), "in flight");
    this.spark.set(model.rates.get("c\n" + this.name));
    this.refresh();
  }
  number(node, value, unit) {
    if (!node.firstElementChild) node.append(make("span"), make("span", "unit", " " + unit));
    setText(node.firstElementChild, value);
  }
  refresh() {
    const open = this.wish === null ? this.auto : this.wish;
    setAttribute(this.button, "aria-expanded", String(open));
    setText(this.arrow, open ? "\u25be" : "\u25b8");
    if (!open && this.more) {
      this.more.remove();
      this.more = null;
      this.endpoints.clear();
    }
    if (!open) return;
    if (!this.more) this.build();
    this.fill();
  }
  build() {
    this.more = make("div", "more");
    this.note = make("p", "quiet");
    this.shared = make("p", "quiet");
    this.sharedText = make("span");
    this.shared.append(this.sharedText, " ");
    this.sharedButton = orderButton(this.shared, this.name, "");
    const table = make("table");
    const head = table.createTHead().insertRow();
    for (const [text, className] of [["Endpoint"], ["State"], ["Health check"], ["Traffic: breaker, ejection"], ["Requests/s", "n"], ["Failures/s", "n"], ["In flight", "n"], ["Latency", "n latency"], [""]]) {
      const cell = make("th", className, text);
      cell.scope = "col";
      head.append(cell);
    }
    this.body = table.createTBody();
    this.more.append(this.note, this.shared, table);
    this.node.append(this.more);
  }
  fill() {
    const { cluster, state, model } = this;
    const extra = [state.text, cluster.retries ? plural(cluster.retries, "retry", "retries") + " so far" : "", cluster.pending ? cluster.pending + " waiting for a place" : ""];
    setText(this.note, extra.filter((text) => text).join(" \u00b7 "));
    setHidden(this.note, this.note.textContent === "");
    setHidden(this.shared, cluster.shared_breaker !== true);
    const open = cluster.breaker && cluster.breaker.state !== "closed";
    setText(this.sharedText, "One breaker for all endpoints: " + breakerWords(cluster.breaker) + ".");
    setOrder(this.sharedButton, open ? "close" : "open", this.name);
    const rows = worstFirst(cluster.endpoints, (e) => endpointState(e).level).map((endpoint) => {
      if (!this.endpoints.has(endpoint.address)) this.endpoints.set(endpoint.address, new EndpointRow(this.name, endpoint.address));
      const row = this.endpoints.get(endpoint.address);
      row.update(endpoint, cluster, model);
      return row.node;
    });
    this.more.classList.toggle("plain", !cluster.endpoints.some((e) => e.latency_ms));
    setChildren(this.body, rows);
  }
}

class Clusters {
  constructor() {
    this.rows = new Map();
    this.filter = byId("filter");
    this.only = byId("only-problems");
    this.filter.oninput = () => this.refresh();
    this.only.onchange = () => this.refresh();
    this.empty = make("p", "empty");
  }
  update(stats, model) {
    this.stats = stats;
    this.model = model;
    this.refresh();
  }
  matches(cluster, words) {
    if (!words || cluster.name.toLowerCase().includes(words)) return true;
    return cluster.endpoints.some((e) => e.address.includes(words) || (e.name || "").toLowerCase().includes(words));
  }
  refresh() {
    if (!this.stats) return;
    const clusters = this.stats.clusters;
    const words = this.filter.value.trim().toLowerCase();
    const few = clusters.reduce((n, c) => n + c.endpoints.length, 0) <= OPEN_WHEN_FEW;
    const states = new Map(clusters.map((c) => [c, clusterState(c)]));
    for (const [cluster, state] of states) {
      if (state.level === OK) state.level = errorLevel(cluster, this.model);
    }
    const sorted = worstFirst(clusters, (c) => states.get(c).level);
    const shown = sorted.filter((c) => this.matches(c, words) && !(this.only.checked && states.get(c).level === OK));
    shown.forEach((cluster, i) => {
      if (!this.rows.has(cluster.name)) this.rows.set(cluster.name, new ClusterRow(cluster.name));
      const state = states.get(cluster);
      const open = few || (state.level !== OK && i < AUTO_OPEN) || (words !== "" && shown.length <= 3);
      this.rows.get(cluster.name).update(cluster, state, this.model, open);
    });
    const names = new Set(clusters.map((c) => c.name));
    for (const name of this.rows.keys()) {
      if (!names.has(name)) this.rows.delete(name);
    }
    const bad = sorted.filter((c) => states.get(c).level !== OK).length;
    setText(byId("clusters-count"), clusters.length + (bad ? ", " + bad + " with problems" : "") + (shown.length < clusters.length ? ", " + shown.length + " shown" : ""));
    setText(this.empty, clusters.length ? "No cluster matches." : "No cluster is configured.");
    setChildren(byId("clusters"), shown.length ? shown.map((c) => this.rows.get(c.name).node) : [this.empty]);
  }
}
