#include "base/log_writer.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <limits>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/log_destination.h"
#include "base/log_ring.h"

namespace remora {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kWarnEvery = std::chrono::seconds(10);
constexpr int kStalledAfterMs = 1000;

// What the writer's thread is doing; anything but kAwake invites wake().
enum class Activity : std::uint8_t { kAwake, kNapping, kAsleep };

int poll_timeout(Clock::duration span) {
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(span).count();
  return static_cast<int>(std::clamp<std::int64_t>(ms, 0, std::numeric_limits<int>::max()));
}

}  // namespace

struct LogWriter::Producer::Slot {
  explicit Slot(std::size_t bytes) : ring(bytes) {}
  LogRing ring;
  std::atomic<std::uint64_t> dropped{0};  // written by the producer only
  std::atomic<bool> closed{false};
};

// Everything the two sides share, and the thread.
struct LogWriter::Core {
  using Slot = Producer::Slot;

  Core(LogDestination to, int wake_descriptor, const Settings& s)
      : settings(s), wake_at(s.ring_bytes / 4), destination(std::move(to)), event(wake_descriptor) {}
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;
  ~Core() { ::close(event); }

  // Any thread.
  void wake() {
    if (activity.exchange(Activity::kAwake, std::memory_order_seq_cst) != Activity::kAwake) signal();
  }
  void signal() {
    const std::uint64_t one = 1;
    // Can only fail when the counter is full, and then the thread is being woken anyway.
    [[maybe_unused]] const ssize_t written = ::write(event, &one, sizeof one);
  }
  void start();
  void stop();

  // The writer's thread.
  void run();
  bool pass();
  bool drain(Slot& slot);
  std::size_t dispose(std::string_view data);
  void wait_writable();
  bool out_of_time();
  void give_up(std::string_view data, int error);
  void warn(std::string_view reason);
  void rest(bool busy);
  bool urgent(bool busy);
  void clear_event();
  void remove_closed();

  const Settings settings;
  const std::size_t wake_at;
  LogDestination destination;
  const int event;  // an eventfd
  std::thread thread;

  std::atomic<Activity> activity{Activity::kAwake};
  std::atomic<bool> stopping{false};
  std::atomic<bool> reopen_wanted{false};
  std::atomic<std::uint64_t> lost{0};  // in the queue, by the writer, and by producers that are gone

  // Protected by `mutex`.
  mutable std::mutex mutex;
  std::condition_variable flushed;
  std::vector<std::unique_ptr<Slot>> slots;
  std::string queue;
  std::uint64_t flush_wanted = 0;
  std::uint64_t flush_done = 0;

  // The writer's thread only.
  std::string batch;
  std::vector<Slot*> visit;
  bool mid_line = false;  // the last byte written was not a '\n'
  bool torn = false;      // and the rest of that line was dropped
  bool gave_up = false;
  bool stall_reported = false;
  std::optional<Clock::time_point> deadline;
  std::optional<Clock::time_point> last_warning;
};

void LogWriter::Core::start() {
  // Signals are for the other threads; and a broken pipe is an error of write(), not a signal.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    thread = std::thread([this] { run(); });
  } catch (const std::system_error&) {
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw;
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::pthread_setname_np(thread.native_handle(), "log");
}

void LogWriter::Core::stop() {
  if (!thread.joinable()) return;
  stopping.store(true, std::memory_order_seq_cst);
  signal();
  thread.join();
}

void LogWriter::Core::run() {
  for (;;) {
    const bool last = stopping.load(std::memory_order_seq_cst);
    const bool busy = pass();
    if (last && (!busy || gave_up)) return;
    if (!last) rest(busy);
  }
}

// Writes what there is; false when there was nothing.
bool LogWriter::Core::pass() {
  std::uint64_t flushing = 0;
  visit.clear();
  batch.clear();
  {
    const std::lock_guard lock(mutex);
    flushing = flush_wanted;
    batch.swap(queue);
    for (const auto& slot : slots) visit.push_back(slot.get());
  }
  // After flush_wanted was read, so that flush() also waits for a reopen() before it.
  if (reopen_wanted.exchange(false, std::memory_order_seq_cst)) {
    if (const auto result = destination.reopen(); !result) warn("cannot reopen " + result.error().detail);
  }
  bool busy = !batch.empty();
  for (std::string_view data = batch; !data.empty();) data.remove_prefix(dispose(data));
  for (Slot* const slot : visit) busy = drain(*slot) || busy;
  remove_closed();
  {
    const std::lock_guard lock(mutex);
    flush_done = flushing;
  }
  flushed.notify_all();
  return busy;
}

// What the ring held when this began lies in two pieces at most; what comes meanwhile waits for the next
// pass, so that one producer cannot starve the others.
bool LogWriter::Core::drain(Slot& slot) {
  bool busy = false;
  for (int piece = 0; piece < 2; ++piece) {
    std::string_view data = slot.ring.readable();
    if (data.empty()) break;
    busy = true;
    while (!data.empty()) {
      const std::size_t done = dispose(data);
      slot.ring.consume(done);
      data.remove_prefix(done);
    }
  }
  return busy;
}

// Writes a beginning of `data`, or gives all of it up, and returns how much that is; 0 after a wait.
std::size_t LogWriter::Core::dispose(std::string_view data) {
  if (out_of_time()) {
    give_up(data, 0);
    return data.size();
  }
  const auto [bytes, error] = destination.write(torn ? std::string_view("\n") : data);
  if (error == EAGAIN || error == EWOULDBLOCK) {
    wait_writable();
    return 0;
  }
  if (error != 0) {
    give_up(data, error);
    return data.size();
  }
  stall_reported = false;
  if (std::exchange(torn, false)) return 0;
  mid_line = data[bytes - 1] != '\n';
  return bytes;
}

// Until the destination takes more, or there is something else to look at.
void LogWriter::Core::wait_writable() {
  pollfd entries[2] = {{.fd = destination.descriptor(), .events = POLLOUT, .revents = 0},
                       {.fd = event, .events = POLLIN, .revents = 0}};
  int timeout = stall_reported ? -1 : kStalledAfterMs;
  if (deadline) timeout = poll_timeout(*deadline - Clock::now());
  const int ready = ::poll(entries, 2, timeout);
  if (ready > 0 && entries[1].revents != 0) clear_event();
  if (ready == 0 && !deadline && !stall_reported) {
    stall_reported = true;
    warn("the destination does not take any");
  }
}

// Whether the destructor's patience is over; starts to measure it when stopping is first seen.
bool LogWriter::Core::out_of_time() {
  if (gave_up) return true;
  if (!stopping.load(std::memory_order_seq_cst)) return false;
  const auto now = Clock::now();
  if (!deadline) deadline = now + settings.drain;
  gave_up = now >= *deadline;
  return gave_up;
}

void LogWriter::Core::give_up(std::string_view data, int error) {
  const auto lines = static_cast<std::uint64_t>(std::ranges::count(data, '\n'));
  lost.fetch_add(lines, std::memory_order_relaxed);
  if (std::exchange(mid_line, false)) torn = true;
  if (error != 0) warn(std::generic_category().message(error));
}

void LogWriter::Core::warn(std::string_view reason) {
  if (settings.quiet) return;
  const auto now = Clock::now();
  if (last_warning && now - *last_warning < kWarnEvery) return;
  last_warning = now;
  std::uint64_t dropped = lost.load(std::memory_order_relaxed);
  {
    const std::lock_guard lock(mutex);
    for (const auto& slot : slots) dropped += slot->dropped.load(std::memory_order_relaxed);
  }
  log_warn("log cannot be written",
           {{"destination", destination.name()}, {"reason", reason}, {"dropped", std::to_string(dropped)}});
}

// Naps while there is traffic, sleeps until woken when the last pass found nothing.
void LogWriter::Core::rest(bool busy) {
  activity.store(busy ? Activity::kNapping : Activity::kAsleep, std::memory_order_seq_cst);
  if (!urgent(busy)) {
    pollfd entry{.fd = event, .events = POLLIN, .revents = 0};
    if (::poll(&entry, 1, busy ? poll_timeout(settings.nap) : -1) > 0) clear_event();
  }
  activity.store(Activity::kAwake, std::memory_order_seq_cst);
}

// Looked at after the rest was announced: whatever comes later calls wake().
bool LogWriter::Core::urgent(bool busy) {
  if (stopping.load(std::memory_order_seq_cst) || reopen_wanted.load(std::memory_order_seq_cst)) return true;
  const std::lock_guard lock(mutex);
  if (!queue.empty() || flush_wanted != flush_done) return true;
  const std::size_t enough = busy ? wake_at : 1;
  return std::ranges::any_of(slots, [enough](const auto& slot) { return slot->ring.unread() >= enough; });
}

void LogWriter::Core::clear_event() {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = ::read(event, &count, sizeof count);
}

void LogWriter::Core::remove_closed() {
  const std::lock_guard lock(mutex);
  std::erase_if(slots, [this](const auto& slot) {
    if (!slot->closed.load(std::memory_order_acquire) || !slot->ring.readable().empty()) return false;
    lost.fetch_add(slot->dropped.load(std::memory_order_relaxed), std::memory_order_relaxed);
    return true;
  });
}

LogWriter::LogWriter(std::unique_ptr<Core> core) : core_(std::move(core)) {}

LogWriter::~LogWriter() { core_->stop(); }

Result<std::unique_ptr<LogWriter>> LogWriter::open(std::string destination, const Settings& settings) {
  auto opened = LogDestination::open(std::move(destination));
  if (!opened) return std::unexpected(opened.error());
  return start(std::move(*opened), settings);
}

Result<std::unique_ptr<LogWriter>> LogWriter::from_descriptor(int descriptor, std::string name,
                                                              const Settings& settings) {
  return start(LogDestination::from_descriptor(descriptor, std::move(name)), settings);
}

Result<std::unique_ptr<LogWriter>> LogWriter::start(LogDestination destination, Settings settings) {
  if (destination.name() == "stderr") settings.quiet = true;
  const auto failure = [](int error) {
    return Error(ErrorCode::kSystem, Side::kInternal, Retry::kNo,
                 "cannot start a log's thread: " + std::generic_category().message(error));
  };
  const int event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (event < 0) return std::unexpected(failure(errno));
  auto core = std::make_unique<Core>(std::move(destination), event, settings);
  try {
    core->start();
  } catch (const std::system_error& error) {
    return std::unexpected(failure(error.code().value()));
  }
  return std::unique_ptr<LogWriter>(new LogWriter(std::move(core)));
}

std::unique_ptr<LogWriter::Producer> LogWriter::make_producer() {
  auto slot = std::make_unique<Producer::Slot>(core_->settings.ring_bytes);
  Producer::Slot& reference = *slot;
  {
    const std::lock_guard lock(core_->mutex);
    core_->slots.push_back(std::move(slot));
  }
  return std::unique_ptr<Producer>(new Producer(*core_, reference));
}

bool LogWriter::write_line(std::string_view line) {
  {
    const std::lock_guard lock(core_->mutex);
    if (core_->queue.size() + line.size() + 1 > core_->settings.queue_bytes) {
      core_->lost.fetch_add(1, std::memory_order_relaxed);
      return false;
    }
    core_->queue.append(line).push_back('\n');
  }
  core_->wake();
  return true;
}

bool LogWriter::flush() {
  std::unique_lock lock(core_->mutex);
  const std::uint64_t wanted = ++core_->flush_wanted;
  lock.unlock();
  core_->wake();
  lock.lock();
  return core_->flushed.wait_for(lock, core_->settings.drain, [&] { return core_->flush_done >= wanted; });
}

void LogWriter::reopen() {
  core_->reopen_wanted.store(true, std::memory_order_seq_cst);
  core_->wake();
}

std::uint64_t LogWriter::dropped() const {
  const std::lock_guard lock(core_->mutex);
  std::uint64_t sum = core_->lost.load(std::memory_order_relaxed);
  for (const auto& slot : core_->slots) sum += slot->dropped.load(std::memory_order_relaxed);
  return sum;
}

LogWriter::Producer::~Producer() { slot_.closed.store(true, std::memory_order_release); }

char* LogWriter::Producer::reserve(std::size_t max) {
  char* const room = slot_.ring.reserve(max);
  if (room == nullptr) {
    // One writer: no read-modify-write needed.
    slot_.dropped.store(slot_.dropped.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  return room;
}

void LogWriter::Producer::commit(std::size_t size) {
  slot_.ring.commit(size);
  const Activity activity = core_.activity.load(std::memory_order_seq_cst);
  if (activity == Activity::kAwake) return;
  if (activity == Activity::kAsleep || slot_.ring.pending(core_.wake_at) >= core_.wake_at) core_.wake();
}

bool LogWriter::Producer::append(std::string_view line) {
  char* const room = reserve(line.size() + 1);
  if (room == nullptr) return false;
  if (!line.empty()) std::memcpy(room, line.data(), line.size());
  room[line.size()] = '\n';
  commit(line.size() + 1);
  return true;
}

}  // namespace remora
