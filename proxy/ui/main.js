// Asks once a second, one request after the other, and hands the answers on.

const PERIOD_MS = 1000;
const PATIENCE_MS = 5000;
const GONE_MS = 3000;

async function getJson(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(PATIENCE_MS) });
  if (!answer.ok) throw new Error(path + ": " + answer.status);
  return answer.json();
}

class Page {
  constructor() {
    this.model = new Model();
    this.overview = new Overview();
    this.parts = [new Clusters(), new Listeners(), new Process()];
    this.events = new Events();
    this.lastAnswer = null; // performance.now()
    this.lastTime = 0;
    this.opened = performance.now();
    this.config = new Config();
    setInterval(() => this.checkGone(), 500);
  }
  async run() {
    const began = performance.now();
    try {
      await this.ask();
    } catch {
      this.checkGone();
    }
    setTimeout(() => this.run(), Math.max(PERIOD_MS - (performance.now() - began), PERIOD_MS / 4));
  }
  async ask() {
    const stats = await getJson("/stats");
    this.lastAnswer = performance.now();
    this.lastTime = stats.time;
    document.body.classList.remove("gone");
    if (this.model.add(stats)) this.events.forget();
    this.overview.update(stats, this.model);
    for (const part of this.parts) part.update(stats, this.model);
    if (stats.last_event !== this.events.last) {
      const answer = await getJson("/events?since=" + this.events.last);
      this.events.add(answer);
      if (answer.events.some((event) => event.kind === "reload")) this.config.refresh();
    }
    if (stats.pages.includes("/members")) await this.askMembers();
  }
  async askMembers() {
    showMembers((await getJson("/members")).members);
  }
  checkGone() {
    const silent = performance.now() - (this.lastAnswer === null ? this.opened : this.lastAnswer);
    if (silent < GONE_MS) return;
    document.body.classList.add("gone");
    this.overview.gone(silent / 1000, this.lastTime);
  }
}

new Page().run();
