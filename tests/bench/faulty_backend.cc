// The backend of tests/bench/resilience and tests/e2e/resilience_test.py: an HTTP/1.1 server that goes wrong
// on request, and counts what reaches it. It shares nothing with the proxy.
//
// The control port obeys and tells (one request per connection):
//
//   GET /set?mode=M&KEY=VALUE...   changes the behaviour; keys that are not given get their defaults
//   GET /counters                  what has happened since the start or the last /clear, as JSON
//   GET /ids                       the values of x-bench-id seen, in order (needs record=1)
//   GET /clear                     sets the counters to zero
//
//   mode      what a request meets
//   ok        200 and 64 bytes
//   status    the status of the key `status`
//   hang      it is read and never answered, until the mode changes
//   reset     a reset, once its head has arrived
//   refuse    nobody: the port is closed, and all its connections
//
//   key       default
//   share     1           of the requests that meet the fault; the others get 200
//   status    503
//   delay_us  0           service time of each answer
//   workers   0           so many are served at a time, the others queue in order; 0 = no limit
//   health    200         status of the answers to /health
//   record    0           1: keep the values of x-bench-id
//
// Requests for /health are counted apart and skip the queue. A backend that hangs or resets does so to them
// too, unless only to a share. A request whose client has left takes its service time all the same: a server
// notices only when it answers. Requests are trusted to be well formed, with Content-Length bodies.
//
// Usage: faulty_backend PORT CONTROL_PORT   (loopback; 0 picks a free one). Prints
// "listening PORT CONTROL_PORT" once it accepts.

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tests/bench/faulty_behaviour.h"

namespace remora::bench {
namespace {

// What epoll says woke us; connections count on from there.
enum : std::uint64_t { kListener, kControlListener, kTimer, kFirstConnection };

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

struct Connection {
  int fd = -1;
  bool control = false;
  bool counted = false;            // its request is in flight
  std::string input;               // not yet understood
  std::optional<Request> request;  // being read or served
  bool serving = false;            // the request is complete and waits for its answer
};

int open_listener(std::uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) die("bind");
  if (listen(fd, 4096) != 0) die("listen");
  return fd;
}

std::uint16_t port_of(int fd) {
  sockaddr_in address{};
  socklen_t length = sizeof address;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) die("getsockname");
  return ntohs(address.sin_port);
}

class Backend final {
 public:
  Backend(std::uint16_t port, std::uint16_t control_port)
      : epoll_(epoll_create1(EPOLL_CLOEXEC)),
        timer_(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)),
        listener_(open_listener(port)),
        control_listener_(open_listener(control_port)),
        port_(port_of(listener_)) {
    watch(listener_, kListener);
    watch(control_listener_, kControlListener);
    watch(timer_, kTimer);
    std::printf("listening %u %u\n", unsigned{port_}, unsigned{port_of(control_listener_)});
    std::fflush(stdout);
  }

  void run_forever() {
    std::array<epoll_event, 256> events{};
    for (;;) {
      const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
      if (count < 0 && errno != EINTR) die("epoll_wait");
      for (int i = 0; i < count; ++i) dispatch(events[static_cast<std::size_t>(i)].data.u64);
    }
  }

 private:
  struct Job {
    std::uint64_t connection;
    unsigned status;
  };

  void watch(int fd, std::uint64_t key) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = key;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
  }

  void dispatch(std::uint64_t key) {
    if (key == kListener || key == kControlListener) return accept_all(key);
    if (key == kTimer) return finish_jobs();
    const auto found = connections_.find(key);
    if (found != connections_.end()) read_some(key, *found->second);
  }

  void accept_all(std::uint64_t key) {
    for (;;) {
      const int listener = key == kListener ? listener_ : control_listener_;
      if (listener < 0) return;
      const int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      auto connection = std::make_unique<Connection>();
      connection->fd = fd;
      connection->control = key == kControlListener;
      if (!connection->control) ++counters_.accepted;
      watch(fd, next_key_);
      connections_.emplace(next_key_++, std::move(connection));
    }
  }

  void read_some(std::uint64_t key, Connection& connection) {
    const ssize_t got = read(connection.fd, buffer_.data(), buffer_.size());
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) return end(key, false);
    connection.input.append(buffer_.data(), static_cast<std::size_t>(got));
    advance(key);
  }

  // Takes what has arrived as far as it goes: head, body, and then the answer.
  void advance(std::uint64_t key) {
    for (;;) {
      const auto found = connections_.find(key);
      if (found == connections_.end() || found->second->serving) return;
      Connection& connection = *found->second;
      if (!connection.request) {
        const std::size_t head_end = connection.input.find("\r\n\r\n");
        if (head_end == std::string::npos) return;
        connection.request = parse_head(std::string_view(connection.input).substr(0, head_end));
        connection.input.erase(0, head_end + 4);
        if (connection.control) return obey(key, std::string(connection.request->path));
        if (!begin(key, connection)) return;
      }
      const std::size_t step = std::min(connection.request->body_left, connection.input.size());
      connection.input.erase(0, step);
      connection.request->body_left -= step;
      if (connection.request->body_left > 0) return;
      serve(key, connection);
    }
  }

  // A request's head has arrived: counts it. False when it is the end of the connection.
  bool begin(std::uint64_t key, Connection& connection) {
    Request& request = *connection.request;
    connection.counted = !request.health();
    counters_.count(request, behaviour_.record);
    request.faulty = is_faulty(request);
    if (!request.faulty || behaviour_.mode != Mode::kReset) return true;
    end(key, true);
    return false;
  }

  // Spreads the share evenly: 0.25 is every fourth request, not one in four by luck.
  bool is_faulty(const Request& request) {
    if (behaviour_.mode == Mode::kOk) return false;
    if (request.health()) return behaviour_.share >= 1;
    credit_ += behaviour_.share;
    if (credit_ < 1 - 1e-9) return false;
    credit_ -= 1;
    return true;
  }

  void serve(std::uint64_t key, Connection& connection) {
    connection.serving = true;
    const Request& request = *connection.request;
    if (request.faulty && behaviour_.mode == Mode::kHang) {
      held_.push_back(key);
    } else if (request.health()) {
      answer(key, behaviour_.health);
    } else {
      queue_.push_back({key, request.faulty && behaviour_.mode == Mode::kStatus ? behaviour_.status : 200});
      start_queued();
    }
  }

  void finish_jobs() {
    std::uint64_t expirations = 0;
    if (read(timer_, &expirations, sizeof expirations) < 0 && errno != EAGAIN) die("timerfd");
    const std::uint64_t now = now_us();
    while (!busy_.empty() && busy_.begin()->first <= now) {
      const Job job = busy_.begin()->second;
      busy_.erase(busy_.begin());
      answer(job.connection, job.status);
    }
    start_queued();
  }

  void start_queued() {
    while (!queue_.empty() && (behaviour_.workers == 0 || busy_.size() < behaviour_.workers)) {
      const Job job = queue_.front();
      queue_.pop_front();
      if (behaviour_.delay_us == 0) {
        answer(job.connection, job.status);
      } else {
        busy_.emplace(now_us() + behaviour_.delay_us, job);
      }
    }
    set_timer();
  }

  void set_timer() {
    itimerspec when{};
    if (!busy_.empty()) {
      const std::uint64_t due = busy_.begin()->first;
      when.it_value.tv_sec = static_cast<time_t>(due / 1'000'000);
      when.it_value.tv_nsec = static_cast<long>(due % 1'000'000 * 1000);
    }
    if (timerfd_settime(timer_, TFD_TIMER_ABSTIME, &when, nullptr) != 0) die("timerfd_settime");
  }

  void answer(std::uint64_t key, unsigned status) {
    const auto found = connections_.find(key);
    if (found == connections_.end()) {
      ++counters_.wasted;
      return;
    }
    Connection& connection = *found->second;
    const bool close = connection.request->close;
    ++counters_.answered;
    const std::string body = connection.request->method == "HEAD" ? "" : std::string(64, 'x');
    const std::string reply = "HTTP/1.1 " + std::to_string(status) +
                              " Answer\r\nContent-Length: 64\r\nX-Backend: " + std::to_string(port_) +
                              (close ? "\r\nConnection: close" : "") + "\r\n\r\n" + body;
    // The socket was idle, so there is room; if its reader has left, the next read says so.
    static_cast<void>(send(connection.fd, reply.data(), reply.size(), MSG_NOSIGNAL));
    finish_request(connection);
    if (close) return end(key, false);
    if (!connection.input.empty()) advance(key);
  }

  void finish_request(Connection& connection) {
    if (connection.counted) --counters_.in_flight;
    connection.counted = false;
    connection.serving = false;
    connection.request.reset();
  }

  void end(std::uint64_t key, bool reset) {
    const auto found = connections_.find(key);
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    if (reset) setsockopt(found->second->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    finish_request(*found->second);
    close(found->second->fd);
    connections_.erase(found);
  }

  void obey(std::uint64_t key, const std::string& path) {
    std::string reply = "{}\n";
    if (path == "/counters") {
      reply = counters_.json();
    } else if (path == "/ids") {
      reply.clear();
      for (const std::string& id : counters_.ids) reply += id + '\n';
    } else if (path == "/clear") {
      const std::uint64_t in_flight = counters_.in_flight;
      counters_ = Counters{};
      counters_.in_flight = counters_.most_in_flight = in_flight;
    } else if (const auto wanted =
                   path.starts_with("/set?") ? parse_behaviour(path.substr(5)) : std::nullopt) {
      behave(*wanted);
    } else {
      reply = "not understood\n";
    }
    // A reply may be larger than the socket's buffer, and its reader does nothing but wait for it.
    const int fd = connections_.at(key)->fd;
    fcntl(fd, F_SETFL, 0);
    reply.insert(0, "HTTP/1.0 200 OK\r\n\r\n");
    for (std::size_t sent = 0; sent < reply.size();) {
      const ssize_t taken = send(fd, reply.data() + sent, reply.size() - sent, MSG_NOSIGNAL);
      if (taken <= 0) break;
      sent += static_cast<std::size_t>(taken);
    }
    end(key, false);
  }

  void behave(const Behaviour& wanted) {
    behaviour_ = wanted;
    credit_ = 0;
    if (wanted.mode == Mode::kRefuse) {
      if (listener_ >= 0) close(std::exchange(listener_, -1));
      std::vector<std::uint64_t> serving;
      for (const auto& [key, connection] : connections_) {
        if (!connection->control) serving.push_back(key);
      }
      for (const std::uint64_t key : serving) end(key, false);
    } else if (listener_ < 0) {
      listener_ = open_listener(port_);
      watch(listener_, kListener);
    }
    for (const std::uint64_t key : std::exchange(held_, {})) {
      const auto found = connections_.find(key);
      if (found != connections_.end()) serve(key, *found->second);
    }
    start_queued();
  }

  const int epoll_;
  const int timer_;
  int listener_;  // -1 while refusing
  const int control_listener_;
  const std::uint16_t port_;
  Behaviour behaviour_;
  double credit_ = 0;  // how much of the next fault is due
  Counters counters_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Connection>> connections_;  // by the key epoll knows
  std::uint64_t next_key_ = kFirstConnection;
  std::deque<Job> queue_;                   // wait for a worker
  std::multimap<std::uint64_t, Job> busy_;  // by when their answer is due
  std::vector<std::uint64_t> held_;         // never answered
  std::vector<char> buffer_ = std::vector<char>(std::size_t{64} * 1024);
};

}  // namespace
}  // namespace remora::bench

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: faulty_backend PORT CONTROL_PORT\n", stderr);
    return 2;
  }
  const auto port = [&](int index) { return remora::bench::number<std::uint16_t>(argv[index]); };
  remora::bench::Backend(port(1), port(2)).run_forever();
}
