#include "proxy/net/loop.h"

#include <uv.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <random>
#include <utility>
#include <vector>

#include "proxy/net/uv_handle.h"

namespace remora::net {

namespace {

using Task = std::move_only_function<void()>;

// A loop that cannot be made leaves nothing that could report it in a better way.
void must(int status, const char* what) {
  if (status >= 0) return;
  std::fprintf(stderr, "cannot make an event loop: %s: %s\n", what, uv_strerror(status));
  std::abort();
}

// The clock of libuv's own timers, so that both speak of the same instant.
TimePoint read_clock() { return TimePoint(Duration(static_cast<Duration::rep>(uv_hrtime() / 1000))); }

struct SignalWatch {
  int number = 0;
  std::function<void()> handler;
  UvHandle<uv_signal_t> handle;
  Loop* loop = nullptr;
};

}  // namespace

struct Loop::Impl {
  uv_loop_t uv{};
  TimerWheel wheel{read_clock()};
  Turn turn;
  unsigned depth = 0;    // of event(), 0 between events
  TimePoint turn_began;  // if the turn is not idle
  Duration longest_turn{};
  TimePoint armed = TimePoint::max();  // when the timer below will fire; max: it is not running
  UvHandle<uv_timer_t> timer;
  UvHandle<uv_async_t> wakeup;
  UvHandle<uv_prepare_t> before_wait;
  std::vector<std::unique_ptr<SignalWatch>> signals;
  std::atomic<Duration::rep> max_lag{0};
  std::atomic<bool> stopping{false};
  std::mutex mutex;  // guards `posted`
  std::vector<Task> posted;

  // Starting a libuv timer costs more than everything else in an event, so one that is early is left alone:
  // it fires, finds nothing due, and is armed again for what there is then.
  void arm_timer() {
    const auto next = wheel.next_expiry();
    if (!next || *next >= armed) return;
    armed = *next;
    const auto due_ms = static_cast<std::uint64_t>((armed.time_since_epoch().count() + 999) / 1000);
    const std::uint64_t now_ms = uv_now(&uv);
    uv_timer_start(timer.get(), &Impl::on_timer, due_ms > now_ms ? due_ms - now_ms : 0, 0);
  }

  static void on_timer(uv_timer_t* handle) {
    auto& loop = *static_cast<Loop*>(handle->data);
    auto& impl = *loop.impl_;
    const TimePoint asked = std::exchange(impl.armed, TimePoint::max());
    loop.event([&] {
      impl.note_lag(impl.wheel.now() - asked);
      impl.wheel.advance(impl.wheel.now());
    });
  }

  // Only the loop's thread writes a larger value; a reader that resets it in between loses at most one
  // sample.
  void note_lag(Duration lag) {
    if (lag.count() > max_lag.load(std::memory_order_relaxed)) {
      max_lag.store(lag.count(), std::memory_order_relaxed);
    }
  }

  // Each time round, behind all that was ready.
  static void on_before_wait(uv_prepare_t* handle) {
    auto& loop = *static_cast<Loop*>(handle->data);
    loop.end_turn();
    loop.impl_->arm_timer();
  }

  static void on_wakeup(uv_async_t* handle) {
    auto& loop = *static_cast<Loop*>(handle->data);
    auto& impl = *loop.impl_;
    std::vector<Task> tasks;
    {
      const std::lock_guard lock(impl.mutex);
      tasks.swap(impl.posted);
    }
    for (auto& task : tasks) {
      loop.event([&] {
        task();
        task = nullptr;  // what it owns dies inside the event, too
      });
    }
    if (impl.stopping.load(std::memory_order_acquire)) uv_stop(&impl.uv);
  }
};

Loop::Loop(Duration longest_turn) : impl_(std::make_unique<Impl>()) {
  impl_->longest_turn = longest_turn;
  must(uv_loop_init(&impl_->uv), "uv_loop_init");
  must(impl_->timer.open([&](uv_timer_t* handle) { return uv_timer_init(&impl_->uv, handle); }),
       "uv_timer_init");
  must(impl_->wakeup.open(
           [&](uv_async_t* handle) { return uv_async_init(&impl_->uv, handle, &Impl::on_wakeup); }),
       "uv_async_init");
  must(impl_->before_wait.open([&](uv_prepare_t* handle) { return uv_prepare_init(&impl_->uv, handle); }),
       "uv_prepare_init");
  impl_->before_wait->data = this;
  must(uv_prepare_start(impl_->before_wait.get(), &Impl::on_before_wait), "uv_prepare_start");
  uv_unref(reinterpret_cast<uv_handle_t*>(impl_->before_wait.get()));
  impl_->timer->data = this;
  impl_->wakeup->data = this;
}

Loop::~Loop() {
  // What tasks and graves own may own handles: they go first, then libuv's close callbacks run.
  impl_->posted.clear();
  impl_->turn.finish();
  impl_->signals.clear();
  impl_->timer.close();
  impl_->wakeup.close();
  impl_->before_wait.close();
  // Without waiting, so that a handle that is still owned is reported below and not waited for.
  for (int i = 0; i < 3 && uv_run(&impl_->uv, UV_RUN_NOWAIT) != 0; ++i) {
  }
  if (uv_loop_close(&impl_->uv) != 0) {
    std::fputs("an event loop was destroyed while handles on it were still owned\n", stderr);
    std::abort();
  }
}

void Loop::run() {
  while (!impl_->stopping.load(std::memory_order_acquire)) uv_run(&impl_->uv, UV_RUN_DEFAULT);
  end_turn();
  impl_->stopping.store(false, std::memory_order_relaxed);
}

void Loop::stop() {
  impl_->stopping.store(true, std::memory_order_release);
  uv_async_send(impl_->wakeup.get());
}

void Loop::post(Task task) {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->posted.push_back(std::move(task));
  }
  uv_async_send(impl_->wakeup.get());
}

void Loop::on_signal(int signal_number, std::function<void()> handler) {
  std::erase_if(impl_->signals, [&](const auto& watch) { return watch->number == signal_number; });
  auto watch = std::make_unique<SignalWatch>();
  watch->number = signal_number;
  watch->handler = std::move(handler);
  watch->loop = this;
  must(watch->handle.open([&](uv_signal_t* handle) { return uv_signal_init(&impl_->uv, handle); }),
       "uv_signal_init");
  watch->handle->data = watch.get();
  const auto on_signal = [](uv_signal_t* handle, int) {
    auto& received = *static_cast<SignalWatch*>(handle->data);
    received.loop->event([&] { received.handler(); });
  };
  must(uv_signal_start(watch->handle.get(), on_signal, signal_number), "uv_signal_start");
  impl_->signals.push_back(std::move(watch));
}

TimerWheel& Loop::wheel() { return impl_->wheel; }

Turn& Loop::turn() { return impl_->turn; }

uv_loop_s* Loop::uv() { return &impl_->uv; }

Duration Loop::take_max_lag() { return Duration(impl_->max_lag.exchange(0, std::memory_order_relaxed)); }

void Loop::begin_event() {
  auto& impl = *impl_;
  if (impl.depth++ > 0) return;
  const TimePoint now = read_clock();
  impl.wheel.set_now(now);
  if (impl.turn.idle()) impl.turn_began = now;
}

void Loop::end_event() {
  auto& impl = *impl_;
  if (--impl.depth == 0 && impl.wheel.now() - impl.turn_began >= impl.longest_turn) end_turn();
}

// Events that this leads to are within it.
void Loop::end_turn() {
  auto& impl = *impl_;
  if (impl.turn.idle()) return;
  ++impl.depth;
  impl.turn.finish();
  --impl.depth;
}

std::uint64_t random_seed() {
  std::random_device device;
  return (std::uint64_t{device()} << 32U) | device();
}

std::int64_t wall_clock_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace remora::net
