// The load generator of tests/bench/resilience: HTTP/1.1 requests, and for each one its status, its latency
// and its x-remora-flag.
//
// Closed loop (no --rate): each of --connections sends its next request when the last one is answered.
// Open loop (--rate R): requests are due at even intervals, whatever becomes of those before. Each takes the
// connection that has been idle the longest, or a new one, and its latency counts from when it was due.
//
//   --port P          where to (loopback)
//   --connections N   at most so many; 16
//   --rate R          per second; 0 = closed loop
//   --seconds S       how long; 2. SIGTERM and SIGINT end it earlier
//   --requests N      at most so many; 0 = no limit
//   --timeout-ms MS   after so long a request has failed; 10000
//   --method M
//   --path P
//   --body BYTES      length of the request's body
//   --close           a new connection for each request
//   --header LINE     may be repeated; {id} becomes the request's number
//   --id TEXT         numbers the requests in x-bench-id: TEXT-1, TEXT-2, ...
//   --records FILE    writes a Record (load_report.h) for each request there
//
// Prints one JSON object in the end (Report::json). A request that is due when all connections are busy fails
// as "unsent". Responses are trusted to have a Content-Length.

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/bench/load_options.h"
#include "tests/bench/load_report.h"

namespace remora::bench {
namespace {

constexpr std::uint64_t kTimerKey = ~std::uint64_t{0};
constexpr std::uint64_t kTickMicroseconds = 10'000;  // how precisely timeouts and pauses are kept
constexpr std::size_t kReadSize = std::size_t{64} * 1024;

volatile std::sig_atomic_t g_interrupted = 0;

std::uint64_t now_us() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(since).count());
}

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

struct Head {
  std::size_t length = 0;  // of the head, with its empty line
  std::uint16_t status = 0;
  std::optional<std::size_t> body;
  std::string_view flag;
  bool close = false;
};

bool is_field(std::string_view line, std::string_view name) {
  return line.size() > name.size() && line[name.size()] == ':' &&
         strncasecmp(line.data(), name.data(), name.size()) == 0;
}

std::string_view value_of(std::string_view line) {
  line.remove_prefix(line.find(':') + 1);
  while (line.starts_with(' ')) line.remove_prefix(1);
  return line;
}

// nullopt: not yet complete. A status of 0: not HTTP.
std::optional<Head> parse_head(std::string_view data) {
  const std::size_t end = data.find("\r\n\r\n");
  if (end == std::string_view::npos) return std::nullopt;
  Head head;
  head.length = end + 4;
  if (data.starts_with("HTTP/1.") && end >= 12)
    std::from_chars(data.data() + 9, data.data() + 12, head.status);
  for (std::size_t at = data.find("\r\n"); at < end;) {
    const std::size_t start = at + 2;
    at = data.find("\r\n", start);
    const std::string_view line = data.substr(start, at - start);
    const std::string_view value = value_of(line);
    if (is_field(line, "content-length")) {
      std::from_chars(value.data(), value.data() + value.size(), head.body.emplace());
    } else if (is_field(line, "x-remora-flag")) {
      head.flag = value;
    } else if (is_field(line, "connection")) {
      head.close = value.size() == 5 && strncasecmp(value.data(), "close", 5) == 0;
    }
  }
  return head;
}

struct Connection {
  enum class State : std::uint8_t { kFree, kConnecting, kIdle, kWaiting } state = State::kFree;
  int fd = -1;
  std::uint32_t generation = 0;  // of this place, so that events and deadlines of an earlier one are known
  std::uint64_t request = 0;     // number of the request on it
  std::uint64_t due_us = 0;
  std::string output;  // of the request, not yet sent
  std::string input;
};

class Load final {
 public:
  explicit Load(const Options& options)
      : options_(options),
        epoll_(epoll_create1(EPOLL_CLOEXEC)),
        timer_(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)),
        connections_(options.connections),
        buffer_(kReadSize) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = kTimerKey;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, timer_, &event) != 0) die("epoll_ctl");
    for (std::size_t i = connections_.size(); i > 0; --i) free_.push_back(i - 1);
  }

  void run() {
    begun_ = next_due_ = now_us();
    end_ = begun_ + static_cast<std::uint64_t>(options_.seconds * 1e6);
    if (options_.rate == 0) again_.assign(connections_.size(), begun_);
    std::array<epoll_event, 512> events{};
    for (;;) {
      const std::uint64_t now = now_us();
      if (g_interrupted != 0) end_ = std::min(end_, now);
      on_time(now);
      if (!may_send(now) && in_flight_ == 0) return;
      set_timer(now);
      const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
      if (count < 0 && errno != EINTR) die("epoll_wait");
      for (int i = 0; i < count; ++i) dispatch(events[static_cast<std::size_t>(i)]);
    }
  }

  std::string json() { return report_.json(begun_, now_us()); }
  const std::vector<Record>& records() const { return report_.records(); }

 private:
  using State = Connection::State;
  struct Deadline {
    std::uint64_t when_us;
    std::size_t index;
    std::uint64_t request;
  };

  bool may_send(std::uint64_t now) const {
    return now < end_ && (options_.requests == 0 || sent_ < options_.requests);
  }

  // Sends what is due, gives up on what is too late.
  void on_time(std::uint64_t now) {
    while (!deadlines_.empty() && deadlines_.front().when_us <= now) {
      const Deadline deadline = deadlines_.front();
      deadlines_.pop_front();
      Connection& connection = connections_[deadline.index];
      const bool waits = connection.state == State::kWaiting || connection.state == State::kConnecting;
      if (waits && connection.request == deadline.request) fail(connection, Failure::kTimeout);
    }
    while (!again_.empty() && again_.front() <= now) {
      again_.pop_front();
      if (may_send(now)) send(now);
    }
    while (options_.rate > 0 && next_due_ <= now && may_send(next_due_)) {
      send(next_due_);
      next_due_ = begun_ + static_cast<std::uint64_t>(static_cast<double>(sent_) / options_.rate * 1e6);
    }
  }

  void set_timer(std::uint64_t now) {
    std::uint64_t when = now + kTickMicroseconds;
    if (options_.rate > 0 && may_send(now)) when = std::min(when, next_due_);
    itimerspec timer{};
    timer.it_value.tv_sec = static_cast<time_t>(when / 1'000'000);
    timer.it_value.tv_nsec = static_cast<long>(when % 1'000'000 * 1000);
    if (timerfd_settime(timer_, TFD_TIMER_ABSTIME, &timer, nullptr) != 0) die("timerfd_settime");
  }

  // One request, on the connection that has been idle the longest, else on a new one.
  void send(std::uint64_t due) {
    ++sent_;
    Connection* connection = nullptr;
    while (connection == nullptr && !idle_.empty()) {
      const auto [index, generation] = idle_.front();
      idle_.pop_front();
      Connection& candidate = connections_[index];
      if (candidate.state == State::kIdle && candidate.generation == generation) connection = &candidate;
    }
    if (connection == nullptr) {
      if (free_.empty()) return report_.add({.due_us = due, .failure = Failure::kUnsent});
      connection = &connections_[free_.back()];
      free_.pop_back();
      open(*connection);
    } else {
      connection->state = State::kWaiting;
    }
    ++in_flight_;
    connection->request = sent_;
    connection->due_us = due;
    connection->output = request_bytes();
    deadlines_.push_back({now_us() + options_.timeout_us, index_of(*connection), sent_});
    if (connection->state == State::kWaiting) flush(*connection);
  }

  std::string request_bytes() const {
    const std::string number = std::to_string(sent_);
    std::string text = options_.method + ' ' + options_.path + " HTTP/1.1\r\nHost: bench\r\n";
    if (!options_.id.empty()) text += "x-bench-id: " + options_.id + '-' + number + "\r\n";
    if (options_.close) text += "Connection: close\r\n";
    for (const std::string& header : options_.headers) {
      const std::size_t at = header.find("{id}");
      text += at == std::string::npos ? header : header.substr(0, at) + number + header.substr(at + 4);
      text += "\r\n";
    }
    if (options_.body > 0) text += "Content-Length: " + std::to_string(options_.body) + "\r\n";
    return text + "\r\n" + std::string(options_.body, 'b');
  }

  std::size_t index_of(const Connection& connection) const {
    return static_cast<std::size_t>(&connection - connections_.data());
  }

  void open(Connection& connection) {
    connection.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connection.fd < 0) die("socket");
    const int on = 1;
    setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connection.state = State::kConnecting;
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    event.data.u64 = (std::uint64_t{connection.generation} << 32) | index_of(connection);
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event) != 0) die("epoll_ctl");
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(options_.port);
    // How it ends, even at once, comes as an event.
    static_cast<void>(connect(connection.fd, reinterpret_cast<sockaddr*>(&address), sizeof address));
  }

  void dispatch(const epoll_event& event) {
    if (event.data.u64 == kTimerKey) {
      std::uint64_t expirations = 0;
      [[maybe_unused]] const ssize_t got = read(timer_, &expirations, sizeof expirations);
      return;
    }
    Connection& connection = connections_[event.data.u64 & 0xffffffff];
    const auto generation = static_cast<std::uint32_t>(event.data.u64 >> 32);
    const auto gone = [&] { return connection.state == State::kFree || connection.generation != generation; };
    if (gone()) return;
    if (connection.state == State::kConnecting) {
      if ((event.events & (EPOLLERR | EPOLLHUP)) != 0) return fail(connection, Failure::kConnect);
      connection.state = State::kWaiting;
    }
    if ((event.events & EPOLLIN) != 0) receive(connection);
    if (!gone() && (event.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
      return lose(connection, event.events);
    if (!gone()) flush(connection);
  }

  void flush(Connection& connection) {
    while (!connection.output.empty()) {
      const std::string& output = connection.output;
      const ssize_t taken = ::send(connection.fd, output.data(), output.size(), MSG_NOSIGNAL);
      if (taken < 0 && errno == EAGAIN) return;
      if (taken < 0) return lose(connection, EPOLLERR);
      connection.output.erase(0, static_cast<std::size_t>(taken));
    }
  }

  void receive(Connection& connection) {
    for (;;) {
      const ssize_t got = read(connection.fd, buffer_.data(), buffer_.size());
      if (got <= 0) break;
      connection.input.append(buffer_.data(), static_cast<std::size_t>(got));
      if (static_cast<std::size_t>(got) < buffer_.size()) break;
    }
    if (connection.state == State::kWaiting && !connection.input.empty()) understand(connection);
  }

  // The connection is over: an idle one may be, one that waits has failed.
  void lose(Connection& connection, std::uint32_t events) {
    if (connection.state == State::kIdle) return release(connection);
    fail(connection, (events & EPOLLERR) != 0 ? Failure::kReset : Failure::kClosed);
  }

  void understand(Connection& connection) {
    const std::optional<Head> head = parse_head(connection.input);
    if (!head) return;
    if (head->status < 200 || (!head->body && options_.method != "HEAD")) {
      return fail(connection, Failure::kMalformed);
    }
    const std::size_t whole = head->length + (options_.method == "HEAD" ? 0 : head->body.value_or(0));
    if (connection.input.size() < whole) return;
    if (connection.input.size() > whole) return fail(connection, Failure::kMalformed);
    const std::uint64_t now = now_us();
    report_.add({.due_us = connection.due_us,
                 .latency_us = static_cast<std::uint32_t>(now - connection.due_us),
                 .status = head->status,
                 .flag = report_.flag(head->flag)});
    --in_flight_;
    const bool reusable = !head->close && !options_.close && connection.output.empty();
    connection.input.clear();
    if (reusable) {
      connection.state = State::kIdle;
      idle_.push_back({index_of(connection), connection.generation});
    } else {
      release(connection);
    }
    if (options_.rate == 0 && may_send(now)) send(now);
  }

  void fail(Connection& connection, Failure failure) {
    const std::uint64_t now = now_us();
    report_.add({.due_us = connection.due_us,
                 .latency_us = static_cast<std::uint32_t>(now - connection.due_us),
                 .failure = failure});
    --in_flight_;
    release(connection);
    if (options_.rate == 0) again_.push_back(now + kTickMicroseconds);
  }

  void release(Connection& connection) {
    close(connection.fd);
    connection.state = State::kFree;
    ++connection.generation;
    connection.output.clear();
    connection.input.clear();
    free_.push_back(index_of(connection));
  }

  const Options& options_;
  const int epoll_;
  const int timer_;
  std::vector<Connection> connections_;
  std::vector<std::size_t> free_;                           // connections that are not open
  std::deque<std::pair<std::size_t, std::uint32_t>> idle_;  // with their generations; some are gone
  std::deque<Deadline> deadlines_;                          // in order; some are of the past
  std::deque<std::uint64_t> again_;                         // closed loop: when to go on after a failure
  std::uint64_t begun_ = 0;
  std::uint64_t end_ = 0;
  std::uint64_t next_due_ = 0;
  std::uint64_t sent_ = 0;
  std::size_t in_flight_ = 0;
  std::vector<char> buffer_;
  Report report_;
};

bool write_records(const std::string& path, const std::vector<Record>& records) {
  std::FILE* const file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) return false;
  const bool written = std::fwrite(records.data(), sizeof(Record), records.size(), file) == records.size();
  return std::fclose(file) == 0 && written;
}

}  // namespace
}  // namespace remora::bench

int main(int argc, char** argv) {
  using namespace remora::bench;
  Options options;
  if (!read_options(argc, argv, options)) {
    std::fputs("usage: load --port P [options]; they are described in tests/bench/load.cc\n", stderr);
    return 2;
  }
  for (const int number : {SIGTERM, SIGINT}) {
    std::signal(number, [](int) { g_interrupted = 1; });
  }
  Load load(options);
  load.run();
  const std::string text = load.json();
  if (!options.records.empty() && !write_records(options.records, load.records())) die("records");
  std::fwrite(text.data(), 1, text.size(), stdout);
  return 0;
}
