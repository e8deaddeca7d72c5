// The backend of tests/bench/compare: HTTP/1.1 keep-alive at the least cost, so that what is measured is the
// proxy.
//
// GET /64, /1k, /100k and /10m answer with a body of that size, /chunked with 1 KiB in four chunks, /echo
// with 101 and then with what it is sent; a request with a body (Content-Length or chunked) is drained and
// then answered by its path like any other. Unknown paths get 404. Responses are built once, at start. A
// request costs one read and one write. Pipelined requests are answered in order: a response that the socket
// does not take at once stops the reading of further requests. `Connection: close` is obeyed. Requests are
// trusted: this parser knows just enough for well-formed requests of a proxy or load generator.
//
// Usage: backend LISTEN_PORT   (loopback; port 0 picks a free one). Prints "listening PORT" once it accepts.

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <strings.h>
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
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace {

constexpr std::size_t kReadSize = std::size_t{256} * 1024;
constexpr std::size_t kMaxHead = std::size_t{64} * 1024;
constexpr int kMaxEvents = 256;
constexpr int kBacklog = 4096;

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

// One answer, whole, with and without the promise to keep the connection.
struct Response {
  std::string path;
  std::string keep_alive;
  std::string closing;
};

std::string make_body(std::size_t size) {
  std::string body(size, '\0');
  for (std::size_t i = 0; i < size; ++i) body[i] = static_cast<char>('a' + i % 26);
  return body;
}

// `framing`: the field that says where the body ends; `body`: framed so.
Response make_response(std::string path, std::string_view status, const std::string& framing,
                       const std::string& body) {
  const std::string head = "HTTP/1.1 " + std::string(status) +
                           "\r\nServer: bench\r\nDate: Fri, 20 Nov 2026 12:00:00 GMT\r\n"
                           "Content-Type: application/octet-stream\r\n" +
                           framing +
                           "\r\nCache-Control: max-age=60\r\nETag: \"5f3c-61a\"\r\nVary: Accept-Encoding\r\n";
  return {std::move(path), head + "\r\n" + body, head + "Connection: close\r\n\r\n" + body};
}

Response make_sized(std::string path, std::string_view status, std::size_t size) {
  return make_response(std::move(path), status, "Content-Length: " + std::to_string(size), make_body(size));
}

Response make_chunked() {
  constexpr std::size_t kChunk = 256;
  const std::string body = make_body(4 * kChunk);
  std::string framed;
  for (std::size_t at = 0; at < body.size(); at += kChunk)
    framed += "100\r\n" + body.substr(at, kChunk) + "\r\n";
  return make_response("/chunked", "200 OK", "Transfer-Encoding: chunked", framed + "0\r\n\r\n");
}

constexpr std::string_view kEcho = "/echo";

// The answer to the one key that connections.py asks with: HAProxy looks at it.
Response make_switch() {
  const std::string head =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n\r\n";
  return {std::string(kEcho), head, head};
}

bool starts_with_nocase(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && strncasecmp(text.data(), prefix.data(), prefix.size()) == 0;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Skips one chunked body, with its extensions and trailers.
class ChunkSkipper final {
 public:
  // Consumes from the front of `data`. True when the body has ended, `data` then starts behind it.
  bool skip(std::string_view& data) {
    while (!data.empty()) {
      if (data_left_ > 0) {
        const std::size_t step = std::min(data_left_, data.size());
        data.remove_prefix(step);
        data_left_ -= step;
        continue;
      }
      const char c = data.front();
      data.remove_prefix(1);
      if (c != '\n') {
        if (c != '\r') line_.push_back(c);
        continue;
      }
      if (end_of_line()) return true;
    }
    return false;
  }

 private:
  bool end_of_line() {
    const std::string line = std::exchange(line_, {});
    if (in_trailers_) {
      if (!line.empty()) return false;
      in_trailers_ = false;
      return true;
    }
    std::size_t size = 0;
    std::from_chars(line.data(), line.data() + line.size(), size, 16);
    in_trailers_ = size == 0;
    data_left_ = size == 0 ? 0 : size + 2;  // the data's own CRLF goes with it
    return false;
  }

  std::string line_;
  std::size_t data_left_ = 0;
  bool in_trailers_ = false;
};

struct Request {
  std::string_view path;
  std::size_t content_length = 0;
  bool chunked = false;
  bool close = false;
};

Request parse_head(std::string_view head) {
  Request request;
  const std::size_t path_at = head.find(' ') + 1;
  request.path = head.substr(path_at, head.find(' ', path_at) - path_at);
  for (std::size_t at = head.find("\r\n"); at + 2 < head.size();) {
    const std::size_t start = at + 2;
    at = std::min(head.find("\r\n", start), head.size());
    const std::string_view line = head.substr(start, at - start);
    if (starts_with_nocase(line, "content-length:")) {
      const std::string_view value = trim(line.substr(15));
      std::from_chars(value.data(), value.data() + value.size(), request.content_length);
    } else if (starts_with_nocase(line, "transfer-encoding:")) {
      request.chunked = true;
    } else if (starts_with_nocase(line, "connection:")) {
      request.close = starts_with_nocase(trim(line.substr(11)), "close");
    }
  }
  return request;
}

struct Connection {
  int fd = -1;
  std::string input;          // begun and not yet answered; empty on an idle connection
  std::string_view output;    // what is left of the response being written
  std::size_t body_left = 0;  // of the request body being drained
  bool chunked = false;       // the request body being drained is chunked
  bool answer_owed = false;   // a request head was read, its response is not begun
  bool close_at_end = false;
  bool waits_for_room = false;  // registered for EPOLLOUT instead of EPOLLIN
  bool echo = false;            // what comes goes back; `input` holds what the socket has not taken
  const Response* response = nullptr;
  ChunkSkipper chunks;
};

class Backend final {
 public:
  explicit Backend(int listener)
      : listener_(listener), epoll_(epoll_create1(EPOLL_CLOEXEC)), buffer_(kReadSize) {
    if (epoll_ < 0) die("epoll_create1");
    responses_.push_back(make_sized("/64", "200 OK", 64));
    responses_.push_back(make_sized("/1k", "200 OK", 1024));
    responses_.push_back(make_sized("/100k", "200 OK", std::size_t{100} * 1024));
    responses_.push_back(make_sized("/10m", "200 OK", std::size_t{10} * 1024 * 1024));
    responses_.push_back(make_chunked());
    responses_.push_back(make_switch());
    responses_.push_back(make_sized("", "404 Not Found", 0));
    watch(EPOLL_CTL_ADD, listener_, EPOLLIN, nullptr);
  }

  void run_forever() {
    std::array<epoll_event, kMaxEvents> events{};
    for (;;) {
      const int count = epoll_wait(epoll_, events.data(), kMaxEvents, -1);
      if (count < 0 && errno != EINTR) die("epoll_wait");
      for (int i = 0; i < count; ++i) {
        auto* connection = static_cast<Connection*>(events[static_cast<std::size_t>(i)].data.ptr);
        if (connection == nullptr) {
          accept_one();
        } else if (!serve(*connection)) {
          close(connection->fd);  // one registration per connection: no later event of this batch names it
          delete connection;
        }
      }
    }
  }

 private:
  void watch(int operation, int fd, std::uint32_t interest, Connection* connection) {
    epoll_event event{};
    event.events = interest;
    event.data.ptr = connection;
    if (epoll_ctl(epoll_, operation, fd, &event) != 0) die("epoll_ctl");
  }

  void accept_one() {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (would_block() || errno == ECONNABORTED) return;
      die("accept4");
    }
    auto connection = std::make_unique<Connection>();
    connection->fd = fd;
    watch(EPOLL_CTL_ADD, fd, EPOLLIN, connection.get());
    static_cast<void>(connection.release());  // owned by its registration until serve() says it is over
  }

  // False when the connection is over.
  bool serve(Connection& connection) {
    if (connection.waits_for_room) {
      if (!write_some(connection)) return false;
      if (connection.waits_for_room || connection.echo) return true;
      const std::string held = std::exchange(connection.input, {});
      return answer(connection, held);
    }
    const ssize_t got = read(connection.fd, buffer_.data(), buffer_.size());
    if (got < 0) return would_block();
    if (got == 0) return false;
    const std::string_view fresh(buffer_.data(), static_cast<std::size_t>(got));
    if (connection.echo) return echo(connection, fresh);
    if (connection.input.empty()) return answer(connection, fresh);
    const std::string joined = std::exchange(connection.input, {}) + std::string(fresh);
    return answer(connection, joined);
  }

  // Answers every whole request in `data` until the socket is full, and keeps the rest of `data`.
  bool answer(Connection& connection, std::string_view data) {
    while (!connection.waits_for_room) {
      if (!connection.answer_owed && !take_head(connection, data)) break;
      if (!drained(connection, data)) break;
      connection.answer_owed = false;
      const Response& response = *connection.response;
      connection.output = connection.close_at_end ? response.closing : response.keep_alive;
      connection.echo = response.path == kEcho;
      if (!write_some(connection)) return false;
      if (connection.echo) return data.empty() || echo(connection, data);
    }
    if (data.size() > kMaxHead && !connection.waits_for_room) return false;
    connection.input.assign(data);
    return true;
  }

  bool echo(Connection& connection, std::string_view data) {
    connection.output = data;
    if (!write_some(connection)) return false;
    connection.input.assign(connection.output);
    connection.output = connection.input;
    return true;
  }

  bool take_head(Connection& connection, std::string_view& data) {
    const std::size_t end = data.find("\r\n\r\n");
    if (end == std::string_view::npos) return false;
    const Request request = parse_head(data.substr(0, end));
    data.remove_prefix(end + 4);
    connection.answer_owed = true;
    connection.body_left = request.content_length;
    connection.chunked = request.chunked;
    connection.close_at_end = request.close;
    const auto found = std::find_if(responses_.begin(), responses_.end() - 1,
                                    [&](const Response& response) { return response.path == request.path; });
    connection.response = &*found;
    return true;
  }

  static bool drained(Connection& connection, std::string_view& data) {
    if (connection.chunked) return connection.chunks.skip(data);
    const std::size_t step = std::min(connection.body_left, data.size());
    data.remove_prefix(step);
    connection.body_left -= step;
    return connection.body_left == 0;
  }

  // False when the connection is over: broken, or its last response is out.
  bool write_some(Connection& connection) {
    const ssize_t taken = write(connection.fd, connection.output.data(), connection.output.size());
    if (taken < 0 && !would_block()) return false;
    if (taken > 0) connection.output.remove_prefix(static_cast<std::size_t>(taken));
    const bool full = !connection.output.empty();
    if (!full && connection.close_at_end) return false;
    if (full != connection.waits_for_room) {
      connection.waits_for_room = full;
      watch(EPOLL_CTL_MOD, connection.fd, full ? EPOLLOUT : EPOLLIN, &connection);
    }
    return true;
  }

  const int listener_;
  const int epoll_;
  std::vector<char> buffer_;
  std::vector<Response> responses_;  // the last one answers every unknown path
};

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
  const std::string_view text = argc == 2 ? argv[1] : "";
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size()) {
    std::fputs("usage: backend LISTEN_PORT\n", stderr);
    return 2;
  }
  std::signal(SIGPIPE, SIG_IGN);
  Backend(listen_on_loopback(port)).run_forever();
}
