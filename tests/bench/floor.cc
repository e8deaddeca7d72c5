// The floor of tests/bench/compare: a byte forwarder that parses nothing.
//
// One thread, one level-triggered epoll, one upstream connection per client connection. A message costs one
// read and one write and no other system call (epoll_wait apart, which a batch of ready sockets shares).
// Interest changes only while a socket does not take all it is given. What a proxy costs above this is what
// its thinking costs; the rest is the kernel's.
//
// The end of one direction ends the pair, after the bytes owed to the other side: load generators do not
// half-close. A failure to get resources ends the program: a benchmark must not limp.
//
// Usage: floor LISTEN_PORT BACKEND_HOST:PORT   (IPv4; port 0 picks a free one)
// Prints "listening PORT" once it accepts.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace {

constexpr std::size_t kReadSize = std::size_t{64} * 1024;
constexpr int kMaxEvents = 256;
constexpr int kBacklog = 4096;

struct Pair;

// One end of a pair: its socket, and the bytes that the socket has not taken yet.
struct Side {
  Pair* pair = nullptr;
  Side* peer = nullptr;
  int fd = -1;
  std::uint32_t interest = EPOLLIN;
  std::vector<char> pending;
  std::size_t sent = 0;
};

struct Pair {
  Side client;
  Side upstream;
  bool closed = false;
};

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

class Forwarder final {
 public:
  Forwarder(int listener, sockaddr_in backend)
      : listener_(listener), backend_(backend), epoll_(epoll_create1(EPOLL_CLOEXEC)), buffer_(kReadSize) {
    if (epoll_ < 0) die("epoll_create1");
    watch(EPOLL_CTL_ADD, listener_, EPOLLIN, nullptr);
  }

  void run_forever() {
    std::array<epoll_event, kMaxEvents> events{};
    for (;;) {
      const int count = epoll_wait(epoll_, events.data(), kMaxEvents, -1);
      if (count < 0 && errno != EINTR) die("epoll_wait");
      for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        if (event.data.ptr == nullptr) {
          accept_one();
        } else {
          on_ready(*static_cast<Side*>(event.data.ptr), event.events);
        }
      }
      dead_.clear();
    }
  }

 private:
  void watch(int operation, int fd, std::uint32_t interest, Side* side) {
    epoll_event event{};
    event.events = interest;
    event.data.ptr = side;
    if (epoll_ctl(epoll_, operation, fd, &event) != 0) die("epoll_ctl");
  }

  void set_interest(Side& side, std::uint32_t interest) {
    if (side.interest == interest) return;
    side.interest = interest;
    watch(EPOLL_CTL_MOD, side.fd, interest, &side);
  }

  // The accepted socket inherits TCP_NODELAY from the listener. The dial is not waited for: a write that
  // comes too early is pending like any other write that the socket does not take.
  void accept_one() {
    const int client = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client < 0) {
      if (would_block() || errno == ECONNABORTED) return;
      die("accept4");
    }
    const int upstream = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (upstream < 0) die("socket");
    const int on = 1;
    setsockopt(upstream, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const auto* address = reinterpret_cast<const sockaddr*>(&backend_);
    if (connect(upstream, address, sizeof backend_) != 0 && errno != EINPROGRESS) die("connect");

    auto* pair = new Pair;  // owned by its two epoll registrations until close_pair
    pair->client.fd = client;
    pair->client.peer = &pair->upstream;
    pair->upstream.fd = upstream;
    pair->upstream.peer = &pair->client;
    for (Side* side : {&pair->client, &pair->upstream}) {
      side->pair = pair;
      watch(EPOLL_CTL_ADD, side->fd, side->interest, side);
    }
  }

  void on_ready(Side& side, std::uint32_t events) {
    if (side.pair->closed) return;
    if ((events & EPOLLOUT) != 0) flush(side);
    if (side.pair->closed) return;
    if ((events & side.interest & EPOLLIN) != 0) {
      forward(side);
    } else if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
      close_pair(*side.pair);
    }
  }

  void forward(Side& from) {
    Side& to = *from.peer;
    const ssize_t got = read(from.fd, buffer_.data(), buffer_.size());
    if (got < 0 && would_block()) return;
    if (got <= 0) return close_pair(*from.pair);  // pending bytes would have paused reading
    ssize_t taken = write(to.fd, buffer_.data(), static_cast<std::size_t>(got));
    if (taken == got) return;
    if (taken < 0) {
      if (!would_block()) return close_pair(*from.pair);
      taken = 0;
    }
    to.pending.assign(buffer_.begin() + taken, buffer_.begin() + got);
    to.sent = 0;
    set_interest(from, from.interest & ~std::uint32_t{EPOLLIN});
    set_interest(to, to.interest | EPOLLOUT);
  }

  void flush(Side& to) {
    if (to.pending.empty()) return;
    const ssize_t taken = write(to.fd, to.pending.data() + to.sent, to.pending.size() - to.sent);
    if (taken < 0) {
      if (!would_block()) close_pair(*to.pair);
      return;
    }
    to.sent += static_cast<std::size_t>(taken);
    if (to.sent < to.pending.size()) return;
    to.pending.clear();
    set_interest(to, to.interest & ~std::uint32_t{EPOLLOUT});
    set_interest(*to.peer, to.peer->interest | EPOLLIN);
  }

  // The rest of this epoll batch may still name the pair, so its memory lives until the batch is done.
  void close_pair(Pair& pair) {
    pair.closed = true;
    close(pair.client.fd);
    close(pair.upstream.fd);
    dead_.emplace_back(&pair);
  }

  const int listener_;
  const sockaddr_in backend_;
  const int epoll_;
  std::vector<char> buffer_;
  std::vector<std::unique_ptr<Pair>> dead_;
};

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return port;
}

std::optional<sockaddr_in> parse_address(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const std::optional<std::uint16_t> port = parse_port(text.substr(colon + 1));
  const std::string host(text.substr(0, colon));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  if (!port || inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) return std::nullopt;
  address.sin_port = htons(*port);
  return address;
}

int listen_on_loopback(std::uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  socklen_t length = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (bind(fd, generic, length) != 0) die("bind");
  if (listen(fd, kBacklog) != 0) die("listen");
  if (getsockname(fd, generic, &length) != 0) die("getsockname");
  std::printf("listening %u\n", unsigned{ntohs(address.sin_port)});
  std::fflush(stdout);
  return fd;
}

}  // namespace

int main(int argc, char** argv) {
  const auto port = argc == 3 ? parse_port(argv[1]) : std::nullopt;
  const auto backend = argc == 3 ? parse_address(argv[2]) : std::nullopt;
  if (!port || !backend) {
    std::fputs("usage: floor LISTEN_PORT BACKEND_HOST:PORT\n", stderr);
    return 2;
  }
  std::signal(SIGPIPE, SIG_IGN);
  Forwarder(listen_on_loopback(*port), *backend).run_forever();
}
