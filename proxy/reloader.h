// From a changed file to what every worker serves by, or to a list of errors and nothing changed.
//
//   read      the whole file is validated, environment included, and compared with what is running, on a
//             thread that gives way to all others: a large one takes longer than a health check may wait; an
//             error ends it
//   names     sources of endpoints that are new are asked, for kPatience at most
//   bind      every worker binds what it lacks, without accepting; an error ends it, and what was bound goes
//   commit    one snapshot to every worker, each of which takes it over in one turn
//
// One at a time: those that come meanwhile wait, in order. Thread: the control thread. Owner: Server, which
// destroys it after the workers have stopped.
#pragma once

#include <deque>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/timer_wheel.h"
#include "config/config.h"
#include "config/load.h"
#include "proxy/endpoint_sources.h"
#include "proxy/net/background.h"
#include "proxy/net/loop.h"
#include "proxy/reload_report.h"
#include "proxy/worker_thread.h"

namespace remora::proxy {

class Reloader final {
 public:
  // How long the switch waits for names that were not known before.
  static constexpr Duration kPatience = 5s;

  struct Ways {
    // Reads the file anew. On another thread.
    std::function<std::expected<config::Config, config::Problems>()> load;
    // What is running.
    std::function<std::shared_ptr<const Snapshot>()> running;
    // Why not now; "" = now.
    std::function<std::string()> refusal;
    // Reads the files of TLS that it names, for commit() to use.
    std::function<Result<void>(std::shared_ptr<const config::Config>)> read_tls;
    // An address that nobody of this process has is free.
    std::function<Result<void>(const config::Listener&)> check_address;
    // Gives it to the workers, and looks after it. `addresses`: of its listeners, with the real ports. Calls
    // back when every worker serves by it.
    std::function<void(std::shared_ptr<const config::Config>, std::vector<Address> addresses,
                       std::function<void()>)>
        commit;
    // True: something is done that is not over at once. False: it is over, whatever came of it.
    std::function<void(bool)> busy;
    // Something that people want to see: applied, rejected, or no longer rejected.
    std::function<void(const ReloadReport&)> tell;
    // As it was started, but for listeners and clusters: what needs a restart is told until there is one.
    const config::Config* started = nullptr;
  };
  using Answer = std::move_only_function<void(const ReloadReport&)>;

  Reloader(net::Loop& loop, EndpointSources& sources,
           const std::vector<std::unique_ptr<WorkerThread>>& workers, Ways ways);
  ~Reloader();
  Reloader(const Reloader&) = delete;
  Reloader& operator=(const Reloader&) = delete;

  // `trigger`: for the log, "SIGHUP". `answer` is called once, later or now.
  void reload(std::string trigger, Answer answer);
  // The file may have changed: reloads, unless it says what is running, or what was rejected last.
  void look();
  // Names have been resolved.
  void on_names();

  const ReloadStatus& status() const { return status_; }
  // Of the last one that was not refused.
  const ReloadReport& last() const { return last_; }

 private:
  struct Job {
    std::string trigger;
    Answer answer;
    bool quiet = false;  // nothing new is no news
  };

  void begin();
  bool refused();
  // What has been read, compared with what is running.
  struct Loaded {
    std::expected<std::shared_ptr<const config::Config>, config::Problems> config;
    bool same = false;
    std::vector<config::Change> changes;
  };
  static Loaded load(const Ways& ways, const config::Config& running);
  void on_loaded(Loaded loaded);
  void await_names();
  void bind();
  void bind_first();
  void bind_others(std::vector<Address> addresses);
  void on_bound(Result<void> bound, std::vector<Address> addresses);
  void commit(std::vector<Address> addresses);
  void reject(std::vector<std::string> errors);
  void finish(const ReloadReport& report);
  std::shared_ptr<Snapshot const> draft(std::vector<Address> addresses) const;
  void on_patience();

  net::Loop& loop_;
  EndpointSources& sources_;
  const std::vector<std::unique_ptr<WorkerThread>>& workers_;
  Ways ways_;
  std::deque<Job> jobs_;  // the first is under way if busy_
  bool busy_ = false;
  bool awaiting_names_ = false;
  std::shared_ptr<const config::Config> next_;
  std::vector<config::Change> changes_;
  std::size_t unbound_ = 0;  // workers that have not answered yet
  std::vector<std::string> bind_errors_;
  ReloadStatus status_;
  ReloadReport last_;
  MemberTimer<Reloader, &Reloader::on_patience> patience_timer_{*this};
  net::Background reading_{loop_};  // its own: a scrape's text must not wait for a large file
};

}  // namespace remora::proxy
