// What is seen first: the headline, the facts beside the name, the three graphs.

const MOST_PROBLEMS = 6;

class Overview {
  constructor() {
    setText(byId("where"), location.host);
    const parent = byId("graphs");
    this.rate = new Graph(parent, { name: "Requests per second", read: (p) => [p.rate], show: showRate, floor: 1 });
    this.errors = new Graph(parent, { name: "Answered with 5xx", read: (p) => [p.errors], show: showShare, floor: 0.01 });
    this.latency = new Graph(parent, {
      name: "Latency p99, p50 (dashed)",
      read: (p) => [p.p99, p.p50],
      show: showMs,
      floor: 1,
    });
  }

  update(stats, model) {
    const ready = byId("ready");
    setText(ready, stats.ready ? SIGNS.ok + " ready" : SIGNS.bad + " not ready");
    setClass(ready, "badge " + (stats.ready ? OK : BAD));
    setText(byId("facts"), stats.version + " \u00b7 up " + showSpan(stats.uptime_seconds) + " \u00b7 " + plural(stats.workers.length, "worker", "workers"));
    this.headline(stats, findProblems(stats, model));
    this.graphs(stats, model);
  }

  headline(stats, problems) {
    const level = problems.length ? problems[0].level : OK;
    if (problems.length === 0) return this.say(OK, "Everything is well", wellDetail(stats), []);
    const rest = problems.slice(1);
    const shown = rest.slice(0, MOST_PROBLEMS);
    const more = rest.length - shown.length;
    if (more > 0) shown.push({ level: WARN, text: "and " + more + " more, see below" });
    this.say(level, problems[0].text, "", shown);
  }

  // The sentences of the headline; `level` is its colour.
  say(level, text, detail, problems) {
    setClass(byId("headline"), level);
    const verdict = byId("verdict");
    if (!verdict.firstElementChild) verdict.replaceChildren(make("span", "sign"), make("span"));
    setText(verdict.children[0], SIGNS[level] + " ");
    setText(verdict.children[1], text);
    setText(byId("detail"), detail);
    const list = byId("problems");
    while (list.children.length > problems.length) list.lastElementChild.remove();
    problems.forEach((problem, i) => {
      if (i === list.children.length) {
        const item = make("li");
        item.append(make("span", "sign"), make("span"));
        list.append(item);
      }
      setClass(list.children[i].children[0], "sign " + problem.level);
      setText(list.children[i].children[0], SIGNS[problem.level] + " ");
      setText(list.children[i].children[1], problem.text);
    });
    this.announce(level, text);
    document.title = (level === OK ? "" : SIGNS[level] + " ") + "Remora " + location.host;
  }

  // A screen reader hears of another state, not of every second.
  announce(level, text) {
    const kind = level + text.replace(/\d/g, "");
    if (kind === this.kind) return;
    this.kind = kind;
    setText(byId("announce"), text);
  }

  // No answer since a while: what is shown is from then.
  gone(sinceSeconds, lastTime) {
    const from = lastTime ? "The last data are from " + showTime(lastTime) + "; what is below is as it was then." : "It has not answered yet.";
    setText(byId("ready"), "no answer");
    setClass(byId("ready"), "badge quiet");
    this.say(BAD, "Remora is not reachable, for " + showSpan(sinceSeconds) + " now", from, []);
  }

  graphs(stats, model) {
    const points = model.total.points;
    const now = points[points.length - 1];
    if (!now || !model.recent) return;
    const rate = model.recent.total.requests / model.recent.seconds;
    const active = stats.clusters.reduce((n, c) => n + c.endpoints.reduce((m, e) => m + (e.active || 0), 0), 0);
    const pending = stats.clusters.reduce((n, c) => n + (c.pending || 0), 0);
    this.rate.set(points, showRate(rate), active + " in flight" + (pending ? ", " + pending + " waiting for a place" : ""));
    const requests = model.recent.total.requests > 0;
    this.errors.set(points, requests ? showShare(now.errors) : NOTHING, "Remora's own replies: " + showRate(now.replies) + "/s");
    setClass(this.errors.figure, now.errors >= MUCH ? "card failing" : "card");
    this.latency.set(points, showMs(now.p99), "p50 " + showMs(now.p50));
  }
}
