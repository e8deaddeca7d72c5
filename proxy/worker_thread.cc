#include "proxy/worker_thread.h"

#include <pthread.h>

#include "proxy/load_monitor.h"
#include "proxy/net/tcp.h"
#include "proxy/own_dials.h"

namespace remora::proxy {

// In order of construction: each uses those before it.
struct WorkerThread::Parts {
  explicit Parts(const Settings& settings)
      : network(loop),
        random(settings.seed),
        env{.wheel = loop.wheel(),
            .turn = loop.turn(),
            .network = network,
            .random = random,
            .buffers = buffers,
            .scratch = scratch,
            .date = date,
            .spans = &spans,
            .dials = &dials},
        log(settings.access_log != nullptr ? settings.access_log->make_producer() : nullptr,
            settings.access_format, settings.access_sample),
        worker(std::make_unique<Worker>(env, log, settings.index, settings.pseudonym)),
        load(loop.wheel(), *worker, settings.overload, settings.resident_bytes),
        name("worker-" + std::to_string(settings.index)) {}
  ~Parts() { end(); }

  // What the worker leaves to the turn may still say farewell, and needs the network for it.
  void end() {
    worker.reset();
    loop.turn().finish();
  }

  net::Loop loop;
  net::UvNetwork network;
  Random random;
  BufferPool buffers;
  http::H1Scratch scratch;
  HttpDate date{&net::wall_clock_seconds};
  SpanRing spans;
  OwnDials dials;
  Env env;
  AccessLog log;
  std::unique_ptr<Worker> worker;
  LoadMonitor load;
  std::string name;
};

WorkerThread::WorkerThread(const Settings& settings) : parts_(std::make_unique<Parts>(settings)) {}

WorkerThread::~WorkerThread() = default;

Result<void> WorkerThread::prepare(std::shared_ptr<const Snapshot> snapshot) {
  return parts_->worker->apply(std::move(snapshot));
}

const Address& WorkerThread::listen_address(std::size_t i) const { return parts_->worker->listen_address(i); }

void WorkerThread::start() {
  thread_ = std::thread([parts = parts_.get()] {
    pthread_setname_np(pthread_self(), parts->name.c_str());
    parts->loop.post([parts] { parts->load.start([parts] { return parts->loop.take_max_lag(); }); });
    parts->loop.run();
    parts->end();
  });
}

void WorkerThread::post(std::move_only_function<void(Worker&)> task) {
  parts_->loop.post([parts = parts_.get(), task = std::move(task)]() mutable {
    if (parts->worker) task(*parts->worker);
  });
}

void WorkerThread::apply(std::shared_ptr<const Snapshot> snapshot, std::move_only_function<void()> done) {
  parts_->loop.post([parts = parts_.get(), snapshot = std::move(snapshot), done = std::move(done)]() mutable {
    if (!parts->worker) return;
    const config::Config& config = *snapshot->config;
    parts->log.set(config.log.access.format, config.log.access.sample);
    parts->load.set_settings(config.overload);
    // What it needs is bound: nothing can fail.
    static_cast<void>(parts->worker->apply(std::move(snapshot)));
    done();
  });
}

void WorkerThread::report(std::move_only_function<void(WorkerReport)> receive) {
  parts_->loop.post([parts = parts_.get(), receive = std::move(receive)]() mutable {
    if (!parts->worker) return;
    WorkerReport report = parts->worker->report();
    report.loop_lag = parts->load.recent_lag();
    receive(std::move(report));
  });
}

SpanRing& WorkerThread::spans() { return parts_->spans; }

void WorkerThread::stop() {
  if (!thread_.joinable()) return;
  parts_->loop.stop();
  thread_.join();
}

}  // namespace remora::proxy
