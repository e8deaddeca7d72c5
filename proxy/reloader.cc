#include "proxy/reloader.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/log.h"

namespace remora::proxy {

namespace {

using Outcome = ReloadReport::Result;

double now_seconds() { return static_cast<double>(wall_clock_ms()) / 1e3; }

std::string text_of(const Error& error) {
  return error.detail.empty() ? std::string(to_string(error.code)) : error.detail;
}

}  // namespace

Reloader::Reloader(net::Loop& loop, EndpointSources& sources,
                   const std::vector<std::unique_ptr<WorkerThread>>& workers, Ways ways)
    : loop_(loop), sources_(sources), workers_(workers), ways_(std::move(ways)) {
  status_.last_success = now_seconds();
}

Reloader::~Reloader() = default;

void Reloader::reload(std::string trigger, Answer answer) {
  jobs_.push_back({.trigger = std::move(trigger), .answer = std::move(answer)});
  if (!busy_) begin();
}

void Reloader::look() {
  jobs_.push_back({.trigger = "the file has changed", .answer = {}, .quiet = true});
  if (!busy_) begin();
}

void Reloader::begin() {
  busy_ = true;
  if (refused()) return;
  if (!jobs_.front().quiet) ways_.busy(true);
  reading_.run([this, running = ways_.running()->config] {
    return [this, loaded = load(ways_, *running)]() mutable { on_loaded(std::move(loaded)); };
  });
}

// On another thread: nothing of the reloader's but what never changes.
Reloader::Loaded Reloader::load(const Ways& ways, const config::Config& running) {
  auto read = ways.load();
  if (!read) return {.config = std::unexpected(std::move(read.error())), .same = false, .changes = {}};
  auto next = std::make_shared<const config::Config>(std::move(*read));
  auto changes = config::diff(running, *next);
  // What still waits for a restart is said again, and what the file takes back is not.
  std::erase_if(changes, &config::Change::restart);
  auto later = config::diff_restart(*ways.started, *next);
  std::ranges::move(later, std::back_inserter(changes));
  const bool same = *next == running;
  return {.config = std::move(next), .same = same, .changes = std::move(changes)};
}

bool Reloader::refused() {
  const std::string reason = ways_.refusal();
  if (reason.empty()) return false;
  // Who only looks whether the file says something new has asked for nothing.
  const bool asked = !jobs_.front().quiet;
  (asked ? log_warn : log_info)("reload refused", {{"trigger", jobs_.front().trigger}, {"reason", reason}});
  finish({.result = Outcome::kRefused, .changes = {}, .errors = {reason}, .at = now_seconds()});
  return true;
}

void Reloader::on_loaded(Loaded loaded) {
  if (refused()) return;  // what forbids it may have begun while the file was read
  if (!loaded.config) {
    std::vector<std::string> errors;
    for (const auto& problem : loaded.config.error()) errors.push_back(problem.to_string());
    return reject(std::move(errors));
  }
  next_ = std::move(*loaded.config);
  changes_ = std::move(loaded.changes);
  if (loaded.same) {
    if (jobs_.front().quiet && !status_.last_rejected) {
      return finish({.result = Outcome::kUnchanged, .changes = {}, .errors = {}});
    }
    log_info("reload found nothing new", {{"trigger", jobs_.front().trigger}});
    return finish({.result = Outcome::kUnchanged,
                   .changes = std::exchange(changes_, {}),
                   .errors = {},
                   .at = now_seconds()});
  }
  await_names();
}

void Reloader::await_names() {
  ways_.busy(true);
  sources_.watch(*next_);
  if (sources_.settled()) return bind();
  awaiting_names_ = true;
  loop_.wheel().arm_in(patience_timer_, kPatience);
}

// In an event of its own: what comes of it may end the name whose event this is.
void Reloader::on_names() {
  if (!awaiting_names_ || !sources_.settled()) return;
  awaiting_names_ = false;
  patience_timer_.cancel();
  loop_.post([this] { bind(); });
}

void Reloader::on_patience() {
  awaiting_names_ = false;
  log_warn("reload does not wait any longer for names that are not resolved");
  bind();
}

void Reloader::bind() {
  if (const auto read = ways_.read_tls(next_); !read) return reject({text_of(read.error())});
  const Snapshot& running = *ways_.running();
  std::vector<Address> addresses;
  for (const config::Listener& listener : next_->listeners) {
    Address address = listener.address;
    bool ours = false;
    for (std::size_t i = 0; i < running.config->listeners.size(); ++i) {
      const config::Listener& before = running.config->listeners[i];
      // Whoever asked for any port keeps the one it got.
      if (before.name == listener.name && before.address == listener.address) {
        address = running.listen_addresses[i];
      }
      const Address& bound = running.listen_addresses[i];
      // Another address with a port of ours may be part of it, or it of that: the plain bind would fail.
      ours = ours || bound == address || (bound.is_ip() && address.is_ip() && bound.port() == address.port());
    }
    if (!ours) {
      if (const auto free = ways_.check_address(listener); !free) return reject({text_of(free.error())});
    }
    addresses.push_back(std::move(address));
  }
  // The first worker finds the ports of those that ask for any; the others share them.
  bind_errors_.clear();
  unbound_ = 1;
  workers_.front()->post([this, wanted = draft(std::move(addresses))](Worker& worker) {
    auto bound = worker.prepare(*wanted);
    std::vector<Address> real;
    for (std::size_t i = 0; bound && i < wanted->listen_addresses.size(); ++i) {
      real.push_back(worker.prepared_address(*wanted, i));
    }
    loop_.post([this, bound = std::move(bound), real = std::move(real)]() mutable {
      if (!bound || workers_.size() == 1) return on_bound(std::move(bound), std::move(real));
      bind_others(std::move(real));
    });
  });
}

void Reloader::bind_others(std::vector<Address> addresses) {
  unbound_ = workers_.size() - 1;
  const auto wanted = draft(std::move(addresses));
  for (std::size_t i = 1; i < workers_.size(); ++i) {
    workers_[i]->post([this, wanted](Worker& worker) {
      auto bound = worker.prepare(*wanted);
      loop_.post([this, wanted, bound = std::move(bound)]() mutable {
        on_bound(std::move(bound), wanted->listen_addresses);
      });
    });
  }
}

void Reloader::on_bound(Result<void> bound, std::vector<Address> addresses) {
  if (!bound) bind_errors_.push_back("cannot bind a listener: " + text_of(bound.error()));
  if (--unbound_ > 0) return;
  const std::string refusal = ways_.refusal();
  if (bind_errors_.empty() && refusal.empty()) return commit(std::move(addresses));
  for (const auto& worker : workers_) worker->post([](Worker& w) { w.abandon(); });
  if (bind_errors_.empty()) {
    sources_.keep(*ways_.running()->config);
    return finish({.result = Outcome::kRefused, .changes = {}, .errors = {refusal}, .at = now_seconds()});
  }
  reject(std::exchange(bind_errors_, {}));
}

// Of a snapshot, only what Worker::prepare looks at.
std::shared_ptr<const Snapshot> Reloader::draft(std::vector<Address> addresses) const {
  return std::make_shared<const Snapshot>(Snapshot{.generation = 0,
                                                   .config = next_,
                                                   .endpoints = {},
                                                   .clusters = {},
                                                   .listeners = {},
                                                   .rates = {},
                                                   .listen_addresses = std::move(addresses)});
}

void Reloader::commit(std::vector<Address> addresses) {
  ways_.commit(next_, std::move(addresses), [this] {
    sources_.keep(*next_);
    log_info("reloaded", {{"trigger", jobs_.front().trigger}, {"changes", std::to_string(changes_.size())}});
    for (const auto& change : changes_) {
      if (change.restart) {
        log_warn("a change takes effect at restart", {{"change", change.to_string()}});
      } else {
        log_info("configuration changed", {{"change", change.to_string()}});
      }
    }
    finish({.result = Outcome::kApplied,
            .changes = std::exchange(changes_, {}),
            .errors = {},
            .at = now_seconds()});
  });
}

void Reloader::reject(std::vector<std::string> errors) {
  sources_.keep(*ways_.running()->config);
  const bool known = jobs_.front().quiet && status_.last_rejected && last_.errors == errors;
  ReloadReport report{
      .result = Outcome::kRejected, .changes = {}, .errors = std::move(errors), .at = now_seconds()};
  if (known) {
    report.at = 0.0;  // the file is as wrong as it was when that was told
    return finish(report);
  }
  log_error("reload rejected, nothing has changed",
            {{"trigger", jobs_.front().trigger}, {"errors", std::to_string(report.errors.size())}});
  for (const std::string& error : report.errors) log_error("configuration error", {{"error", error}});
  finish(report);
}

void Reloader::finish(const ReloadReport& report) {
  Job job = std::move(jobs_.front());
  jobs_.pop_front();
  next_ = nullptr;
  if (report.result != Outcome::kRefused && report.at > 0.0) {
    if (report.result != Outcome::kUnchanged || status_.last_rejected) ways_.tell(report);
    status_.last_rejected = !report.good();
    if (report.good()) {
      ++status_.succeeded;
      status_.last_success = report.at;
    } else {
      ++status_.rejected;
    }
    last_ = report;
  }
  busy_ = false;
  ways_.busy(false);
  if (job.answer) job.answer(report);
  if (!busy_ && !jobs_.empty())
    loop_.post([this] {
      if (!busy_ && !jobs_.empty()) begin();
    });
}

}  // namespace remora::proxy
