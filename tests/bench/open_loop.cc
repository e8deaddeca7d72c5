// The load of tests/bench/compare at a fixed rate, and the backend behind the proxy, in one loop that never
// sleeps. As two programs on one core they would wait for each other's time slices, of milliseconds, and that
// is what would be measured.
//
// Requests are due at even intervals, whatever becomes of those before. Each takes the one of 64 connections
// that has been idle the longest, and waits until there is one; its latency counts from when it was due. At a
// rate of 0 each connection sends the next request when the last one is answered.
//
// Usage: open_loop PROXY_PORT BACKEND_PORT RATE WARM_UP SECONDS   (loopback)
//
// Prints one JSON object in the end: {"requests": of both spans, "measured": of SECONDS, "failed", "p50_us",
// "p99_us", "late_us": p99 of how much later than due a request was sent}.

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr std::size_t kConnections = 64;
constexpr std::size_t kSlowest = 2'000'000;  // us; what takes longer counts as this
constexpr std::string_view kEndOfHead = "\r\n\r\n";
constexpr std::string_view kRequest = "GET /64 HTTP/1.1\r\nHost: bench\r\n\r\n";
constexpr std::string_view kBody = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl";
constexpr std::string_view kResponseHead =
    "HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Fri, 20 Nov 2026 12:00:00 GMT\r\n"
    "Content-Type: application/octet-stream\r\nContent-Length: 64\r\nCache-Control: max-age=60\r\n"
    "ETag: \"5f3c-61a\"\r\nVary: Accept-Encoding\r\n\r\n";

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

std::uint64_t now_us() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(since).count());
}

struct Options {
  std::uint16_t proxy = 0;
  std::uint16_t backend = 0;
  double rate = 0;
  double warm_up = 0;
  double seconds = 0;
};

// How often each number of microseconds has come.
class Histogram final {
 public:
  void add(std::uint64_t value) {
    ++counts_[std::min<std::uint64_t>(value, kSlowest)];
    ++total_;
  }
  std::uint64_t total() const { return total_; }
  std::size_t quantile(double share) const {
    auto left = static_cast<std::uint64_t>(share * static_cast<double>(total_));
    for (std::size_t value = 0; value < counts_.size(); ++value) {
      if (counts_[value] > left) return value;
      left -= counts_[value];
    }
    return kSlowest;
  }

 private:
  std::vector<std::uint32_t> counts_ = std::vector<std::uint32_t>(kSlowest + 1);
  std::uint64_t total_ = 0;
};

struct Socket {
  enum class Kind : std::uint8_t { kListener, kServed, kClient } kind;
  int fd;
  std::string input;  // what of a message has come
  std::uint64_t due = 0;
  bool waits = false;  // a client: for its response
};

class OpenLoop final {
 public:
  explicit OpenLoop(const Options& options)
      : options_(options),
        response_(std::string(kResponseHead).append(kBody)),
        proxy_(loopback(options.proxy)),
        epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    const sockaddr_in address = loopback(options.backend);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // handed down to what is accepted
    if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) die("bind");
    if (listen(fd, SOMAXCONN) != 0) die("listen");
    watch(Socket::Kind::kListener, fd);
  }

  void run() {
    begun_ = now_us();
    counted_from_ = begun_ + static_cast<std::uint64_t>(options_.warm_up * 1e6);
    end_ = counted_from_ + static_cast<std::uint64_t>(options_.seconds * 1e6);
    const std::uint64_t given_up = end_ + kSlowest;
    for (std::size_t i = 0; i < kConnections; ++i) idle_.push_back(&dial());
    while (options_.rate == 0 && !idle_.empty()) send(begun_);
    std::array<epoll_event, 256> events{};
    for (std::uint64_t now = begun_; now < given_up && (may_send(now) || waiting_ > 0); now = now_us()) {
      while (options_.rate > 0 && may_send(now) && next_due() <= now && !idle_.empty()) send(next_due());
      const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 0);
      for (int i = 0; i < count; ++i) {
        on_ready(*static_cast<Socket*>(events[static_cast<std::size_t>(i)].data.ptr));
      }
    }
    failed_ += waiting_;
  }

  void print() const {
    std::printf(
        R"({"requests": %llu, "measured": %llu, "failed": %llu, "p50_us": %zu, "p99_us": %zu, "late_us": %zu})"
        "\n",
        static_cast<unsigned long long>(answered_), static_cast<unsigned long long>(latency_.total()),
        static_cast<unsigned long long>(failed_), latency_.quantile(0.5), latency_.quantile(0.99),
        lateness_.quantile(0.99));
  }

 private:
  static sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    return address;
  }

  // At a fixed rate whatever is due before the end is sent, even if late.
  bool may_send(std::uint64_t now) const { return (options_.rate > 0 ? next_due() : now) < end_; }

  std::uint64_t next_due() const {
    return begun_ + static_cast<std::uint64_t>(static_cast<double>(sent_) / options_.rate * 1e6);
  }

  Socket& watch(Socket::Kind kind, int fd) {
    Socket& socket = *sockets_.emplace_back(std::make_unique<Socket>(kind, fd));
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &socket;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
    return socket;
  }

  // A connection to the same machine is there when connect() returns.
  Socket& dial() {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) die("socket");
    if (connect(fd, reinterpret_cast<const sockaddr*>(&proxy_), sizeof proxy_) != 0) die("connect");
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0) die("fcntl");
    return watch(Socket::Kind::kClient, fd);
  }

  void send(std::uint64_t due) {
    ++sent_;
    Socket* const client = idle_.front();
    idle_.pop_front();
    client->due = due;
    client->waits = true;
    ++waiting_;
    if (options_.rate > 0 && due >= counted_from_) lateness_.add(now_us() - due);
    write_all(client->fd, kRequest);
  }

  // What is so small fits into a socket that has been read empty.
  static void write_all(int fd, std::string_view bytes) {
    if (::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(bytes.size())) {
      std::fputs("open_loop: a socket does not take a message\n", stderr);
    }
  }

  void on_ready(Socket& socket) {
    if (socket.kind == Socket::Kind::kListener) {
      for (int fd = 0; (fd = accept4(socket.fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        watch(Socket::Kind::kServed, fd);
      }
      return;
    }
    const ssize_t got = recv(socket.fd, buffer_.data(), buffer_.size(), 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) return drop(socket);
    const std::string_view bytes(buffer_.data(), static_cast<std::size_t>(got));
    if (socket.kind == Socket::Kind::kServed) {
      serve(socket, bytes);
    } else {
      understand(socket, bytes);
    }
  }

  void serve(Socket& socket, std::string_view bytes) {
    socket.input.append(bytes);
    std::size_t end = 0;
    while ((end = socket.input.find(kEndOfHead)) != std::string::npos) {
      socket.input.erase(0, end + kEndOfHead.size());
      write_all(socket.fd, response_);
    }
  }

  void understand(Socket& client, std::string_view bytes) {
    client.input.append(bytes);
    const std::size_t head = client.input.find(kEndOfHead);
    if (head == std::string::npos || !client.waits) return;
    const bool good = client.input.starts_with("HTTP/1.1 200 ");
    if (good && client.input.size() < head + kEndOfHead.size() + kBody.size()) return;
    const std::uint64_t now = now_us();
    --waiting_;
    client.waits = false;
    if (!good || !client.input.ends_with(kBody)) {
      if (now >= counted_from_) ++failed_;
      drop(client);
    } else {
      ++answered_;
      if (client.due >= counted_from_ && client.due < end_) latency_.add(now - client.due);
      client.input.clear();
      idle_.push_back(&client);
    }
    if (options_.rate == 0 && may_send(now) && !idle_.empty()) send(now);
  }

  void drop(Socket& socket) {
    if (socket.fd < 0) return;
    close(socket.fd);
    socket.fd = -1;
    if (socket.kind != Socket::Kind::kClient) return;
    if (socket.waits) {
      socket.waits = false;
      --waiting_;
      if (now_us() >= counted_from_) ++failed_;
    }
    std::erase(idle_, &socket);
    idle_.push_back(&dial());  // another one in its place
  }

  const Options options_;
  const std::string response_;
  const sockaddr_in proxy_;
  const int epoll_;
  std::vector<std::unique_ptr<Socket>> sockets_;
  std::deque<Socket*> idle_;
  std::array<char, 65536> buffer_{};
  std::uint64_t begun_ = 0;
  std::uint64_t counted_from_ = 0;
  std::uint64_t end_ = 0;
  std::uint64_t sent_ = 0;
  std::uint64_t answered_ = 0;
  std::uint64_t failed_ = 0;
  std::size_t waiting_ = 0;
  Histogram latency_;
  Histogram lateness_;
};

template <typename T>
bool read_number(std::string_view text, T& into) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), into);
  return error == std::errc{} && end == text.data() + text.size();
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (argc != 6 || !read_number(argv[1], options.proxy) || !read_number(argv[2], options.backend) ||
      !read_number(argv[3], options.rate) || !read_number(argv[4], options.warm_up) ||
      !read_number(argv[5], options.seconds)) {
    std::fputs("usage: open_loop PROXY_PORT BACKEND_PORT RATE WARM_UP SECONDS\n", stderr);
    return 2;
  }
  const auto loop = std::make_unique<OpenLoop>(options);
  loop->run();
  loop->print();
  return 0;
}
