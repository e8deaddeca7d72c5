// What the answers of /stats mean over time: rates and quantiles from successive counters. Nothing in here
// touches the page.

const KEEP_SECONDS = 300;
const WINDOW_SECONDS = 5; // over which shares and quantiles are taken: calmer than one second

// A bounded list of {t, ...} with the newest last.
class History {
  constructor() {
    this.points = [];
  }
  add(point) {
    this.points.push(point);
    const oldest = point.t - KEEP_SECONDS;
    let gone = 0;
    while (this.points[gone].t < oldest) ++gone;
    if (gone > 0) this.points.splice(0, gone);
  }
}

class Traffic {
  constructor() {
    this.requests = 0;
    this.errors = 0; // 5xx
    this.left = 0; // clients that left before they got a status
    this.buckets = null;
  }
  add(codes, buckets) {
    for (let i = 0; i < codes.length; ++i) this.requests += codes[i];
    this.errors += codes[5];
    this.left += codes[0];
    if (!this.buckets) this.buckets = new Array(buckets.length).fill(0);
    for (let i = 0; i < buckets.length; ++i) this.buckets[i] += buckets[i];
  }
}

// The duration below which the share q of the requests stayed; NaN without requests. Within a bucket they are
// taken as evenly spread.
function quantile(buckets, bounds, q) {
  if (!buckets) return NaN;
  const total = buckets.reduce((sum, n) => sum + n, 0);
  if (total === 0) return NaN;
  let rank = q * total;
  for (let i = 0; i < buckets.length; ++i) {
    if (rank > buckets[i] || buckets[i] === 0) {
      rank -= buckets[i];
      continue;
    }
    const low = i === 0 ? 0 : bounds[i - 1];
    const high = i < bounds.length ? bounds[i] : low;
    return low + ((high - low) * Math.max(rank, 0)) / buckets[i];
  }
  return bounds[bounds.length - 1];
}

// Counters only grow while their object lives; one that is new or smaller began at 0.
function growth(now, then) {
  return then === undefined || now < then ? now : now - then;
}

// One answer, its counters by key.
class Sample {
  constructor(stats) {
    this.stats = stats;
    this.t = stats.uptime_seconds;
    this.workers = stats.workers.map((w) => w.worker).join(" ");
    this.exchanges = new Map();
    for (const e of stats.exchanges) this.exchanges.set(e.listener + "\n" + e.cluster, e);
    this.endpoints = new Map();
    for (const c of stats.clusters) {
      for (const e of c.endpoints) this.endpoints.set(c.name + "\n" + e.address, e);
    }
  }
}

// What happened between two samples.
class Between {
  constructor(then, now) {
    this.seconds = Math.max(now.t - then.t, 0.001);
    this.total = new Traffic();
    this.listeners = new Map();
    this.clusters = new Map();
    this.then = then;
    for (const [key, e] of now.exchanges) {
      const before = then.exchanges.get(key);
      const codes = e.codes.map((n, i) => growth(n, before && before.codes[i]));
      const buckets = e.buckets.map((n, i) => growth(n, before && before.buckets[i]));
      this.total.add(codes, buckets);
      this.traffic(this.listeners, e.listener).add(codes, buckets);
      this.traffic(this.clusters, e.cluster).add(codes, buckets);
    }
    this.replies = 0; // Remora's own
    const listenersThen = new Map(then.stats.listeners.map((l) => [l.name, l]));
    for (const l of now.stats.listeners) {
      const before = listenersThen.get(l.name);
      for (const flag of Object.keys(l.local_replies)) {
        this.replies += growth(l.local_replies[flag], before && before.local_replies[flag]);
      }
    }
  }
  traffic(map, name) {
    if (!map.has(name)) map.set(name, new Traffic());
    return map.get(name);
  }
  // Requests and failures of an endpoint, per second.
  endpoint(cluster, e) {
    const before = this.then.endpoints.get(cluster + "\n" + e.address);
    return {
      rate: growth(e.requests || 0, before && before.requests) / this.seconds,
      failures: growth(e.failures || 0, before && (before.failures || 0)) / this.seconds,
    };
  }
}

class Model {
  constructor() {
    this.forget();
  }
  forget() {
    this.samples = [];
    this.total = new History(); // {t, rate, errors, replies, p50, p99}
    this.rates = new Map(); // of clusters and listeners: "c\nname", "l\nname" -> History of {t, rate}
    this.last = null; // Between the last two samples
    this.recent = null; // and over WINDOW_SECONDS
  }
  // True: another process answers now.
  add(stats) {
    const newest = this.samples[this.samples.length - 1];
    const restarted = newest !== undefined && stats.uptime_seconds < newest.t;
    if (restarted) this.forget();
    const now = new Sample(stats);
    // The counters of a worker that hangs are missing: they would seem to shrink, and then to jump.
    if (newest !== undefined && newest.workers !== now.workers) this.samples = [];
    this.samples.push(now);
    while (this.samples.length > 2 && this.samples[1].t <= now.t - WINDOW_SECONDS) this.samples.shift();
    if (this.samples.length < 2) {
      this.last = this.recent = null;
      return restarted;
    }
    this.last = new Between(this.samples[this.samples.length - 2], now);
    this.recent = new Between(this.samples[0], now);
    this.remember(now);
    return restarted;
  }
  remember(now) {
    const { total, seconds } = this.last;
    const window = this.recent.total;
    const bounds = now.stats.bounds_ms;
    this.total.add({
      t: now.t,
      rate: total.requests / seconds,
      errors: window.requests ? window.errors / window.requests : 0,
      replies: this.recent.replies / this.recent.seconds,
      p50: quantile(window.buckets, bounds, 0.5),
      p99: quantile(window.buckets, bounds, 0.99),
    });
    const seen = new Set();
    const note = (key, traffic) => {
      seen.add(key);
      if (!this.rates.has(key)) this.rates.set(key, new History());
      this.rates.get(key).add({ t: now.t, rate: traffic.requests / seconds });
    };
    for (const [name, traffic] of this.last.clusters) note("c\n" + name, traffic);
    for (const [name, traffic] of this.last.listeners) note("l\n" + name, traffic);
    for (const key of this.rates.keys()) {
      if (!seen.has(key)) this.rates.delete(key);
    }
  }
  // {rate, errors (share), p99} of what goes to a cluster or comes by a listener, over WINDOW_SECONDS.
  numbers(kind, name) {
    if (!this.recent) return { rate: NaN, errors: NaN, p99: NaN };
    const traffic = (kind === "c" ? this.recent.clusters : this.recent.listeners).get(name) || new Traffic();
    const bounds = this.samples[0].stats.bounds_ms;
    return {
      rate: traffic.requests / this.recent.seconds,
      errors: traffic.requests ? traffic.errors / traffic.requests : NaN,
      p99: quantile(traffic.buckets, bounds, 0.99),
    };
  }
}
