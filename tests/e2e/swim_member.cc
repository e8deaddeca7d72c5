// One member of a gossip pool on real sockets, for tests against members of other makes. It has a
// discovery::swim Membership and the plainest loop that can drive it.
//
//   swim_member NAME IPV4 PORT TAG [HEX-KEY]
//
// Commands on standard input, one a line: "join PORT IPV4", "leave", "members". On standard output,
// one a line: "ready", changes ("joined s1"), and for "members" a line "members s1=alive m1=alive ...". Ends
// with its input, or once it has left.
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <list>
#include <optional>
#include <sstream>

#include "discovery/swim/membership.h"
#include "tests/discovery/swim/vectors.h"

namespace remora::discovery::swim::test {
namespace {

TimePoint clock_now() {
  return TimePoint{std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch())};
}

sockaddr_in socket_address(const Peer& peer) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(peer.port);
  std::memcpy(&address.sin_addr, peer.address.data(), 4);
  return address;
}

Peer to_peer(const sockaddr_in& address) {
  Peer peer;
  peer.size = 4;
  peer.port = ntohs(address.sin_port);
  std::memcpy(peer.address.data(), &address.sin_addr, 4);
  return peer;
}

struct Connection {
  int fd = -1;
  bool accepted = false;
  std::string out;
  std::unique_ptr<StreamReader> reader;
  TimePoint until;
};

class Program final : public Effects {
 public:
  Program(const std::string& name, const Peer& self, std::string_view tag, const std::string& key)
      : random_(self.address[3] * 65536U + self.port),
        installed_(key.empty() || keyring_.install(key)),
        wire_({}, keyring_),
        membership_(Settings::lan(), {.name = name, .peer = self, .meta = serf_tags(tag)}, wire_, *this,
                    random_, clock_now()),
        udp_(bound(self, SOCK_DGRAM)),
        tcp_(bound(self, SOCK_STREAM)) {
    if (!installed_ || listen(tcp_, 64) != 0) std::exit(3);
    say("ready");
  }

  void run() {
    while (!ended_) {
      turn();
      const TimePoint now = clock_now();
      membership_.on_wakeup(now);
      std::erase_if(connections_, [&](const Connection& connection) {
        if (connection.fd >= 0 && connection.until > now) return false;
        if (connection.fd >= 0) close(connection.fd);
        return true;
      });
      if (membership_.departed()) ended_ = true;
    }
  }

  void send(const Peer& to, std::string_view datagram) override {
    const sockaddr_in address = socket_address(to);
    (void)sendto(udp_, datagram.data(), datagram.size(), MSG_NOSIGNAL,
                 reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }
  void ping_stream(const Peer& to, const Ping& ping) override {
    std::string message;
    encode(ping, message);
    dial(to, message);
  }
  void exchange(const Peer& to, bool join) override { dial(to, membership_.state(join)); }
  void on_change(const Member& member, Change change, std::string_view) override {
    say(std::string(to_string(change)) + " " + member.name);
  }
  // News of the layer above is passed on once, as every member of a Serf pool does.
  void on_user(std::string_view message) override {
    if (std::ranges::find(heard_, message) != heard_.end()) return;
    if (heard_.size() == 64) heard_.pop_front();
    heard_.emplace_back(message);
    pending_.emplace_back(message);
  }
  Keyring::Nonce nonce() override {
    Keyring::Nonce nonce{};
    ++nonces_;
    std::memcpy(nonce.data(), &nonces_, sizeof nonces_);
    nonce[11] = membership_.self().peer.address[3];
    return nonce;
  }

 private:
  static std::string serf_tags(std::string_view tag) {
    std::string meta(1, '\xff');
    MsgpackWriter to(meta);
    to.map(1);
    to.raw("role");
    to.raw(tag);
    return meta;
  }

  static void say(const std::string& line) {
    std::puts(line.c_str());
    (void)std::fflush(stdout);
  }

  static int bound(const Peer& self, int type) {
    const int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const sockaddr_in address = socket_address(self);
    if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) std::exit(3);
    return fd;
  }

  void dial(const Peer& to, std::string_view message) {
    Connection& connection = connections_.emplace_back();
    connection.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    connection.until = clock_now() + std::chrono::seconds(2);
    connection.reader = std::make_unique<StreamReader>(wire_, false);
    wire_.seal_stream(message, true, nonce(), connection.out);
    const sockaddr_in address = socket_address(to);
    (void)connect(connection.fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }

  void turn() {
    std::vector<pollfd> waiting{{.fd = 0, .events = POLLIN, .revents = 0},
                                {.fd = udp_, .events = POLLIN, .revents = 0},
                                {.fd = tcp_, .events = POLLIN, .revents = 0}};
    for (const Connection& connection : connections_) {
      const short events = static_cast<short>(connection.out.empty() ? POLLIN : POLLIN | POLLOUT);
      waiting.push_back({.fd = connection.fd, .events = events, .revents = 0});
    }
    const auto wait =
        std::chrono::duration_cast<std::chrono::milliseconds>(membership_.next_wakeup() - clock_now())
            .count();
    (void)poll(waiting.data(), waiting.size(), static_cast<int>(std::clamp<std::int64_t>(wait + 1, 0, 100)));
    auto ready = waiting.begin() + 3;
    for (Connection& connection : connections_) {
      if (ready == waiting.end()) break;
      if ((ready++)->revents != 0) advance(connection);
    }
    if (waiting[0].revents != 0) read_commands();
    if (waiting[1].revents != 0) read_datagrams();
    if (waiting[2].revents != 0) accept_all();
    for (const std::string& message : std::exchange(pending_, {})) membership_.broadcast(message);
  }

  void advance(Connection& connection) {
    if (!connection.out.empty()) {
      const ssize_t sent = ::send(connection.fd, connection.out.data(), connection.out.size(), MSG_NOSIGNAL);
      if (sent > 0) connection.out.erase(0, static_cast<std::size_t>(sent));
      if (sent < 0 && errno != EAGAIN && errno != ENOTCONN) return finish(connection);
    }
    if (!connection.reader) return connection.out.empty() ? finish(connection) : void();
    std::array<char, 65536> buffer;
    const ssize_t got = recv(connection.fd, buffer.data(), buffer.size(), 0);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != ENOTCONN)) return finish(connection);
    if (got < 0) return;
    const auto progress = connection.reader->feed({buffer.data(), static_cast<std::size_t>(got)});
    if (progress == StreamReader::Progress::kBad) return finish(connection);
    if (progress == StreamReader::Progress::kDone) answer(connection);
  }

  static void finish(Connection& connection) {
    close(connection.fd);
    connection.fd = -1;
  }

  void answer(Connection& connection) {
    const StreamMessage& message = connection.reader->message();
    std::string reply;
    switch (message.type) {
      case MessageType::kPing: reply = membership_.on_stream_ping(message.ping).value_or(""); break;
      case MessageType::kAck: membership_.on_stream_ack(message.ack.sequence); break;
      case MessageType::kPushPull:
        if (connection.accepted) reply = membership_.state(false);
        membership_.merge(message.nodes, clock_now());
        break;
      case MessageType::kError: say("error " + std::string(message.bytes)); break;
      default: break;
    }
    if (reply.empty() || !connection.accepted) return finish(connection);
    wire_.seal_stream(reply, false, nonce(), connection.out);
    connection.reader.reset();
    advance(connection);
  }

  void accept_all() {
    for (int fd; (fd = accept4(tcp_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
      Connection& connection = connections_.emplace_back();
      connection.fd = fd;
      connection.accepted = true;
      connection.until = clock_now() + std::chrono::seconds(2);
      connection.reader = std::make_unique<StreamReader>(wire_, true);
    }
  }

  void read_datagrams() {
    std::array<char, 65536> buffer;
    sockaddr_in from{};
    socklen_t size = sizeof from;
    for (ssize_t got; (got = recvfrom(udp_, buffer.data(), buffer.size(), 0,
                                      reinterpret_cast<sockaddr*>(&from), &size)) >= 0;) {
      const Drop drop =
          membership_.receive(to_peer(from), {buffer.data(), static_cast<std::size_t>(got)}, clock_now());
      if (drop != Drop::kNone) say("dropped " + std::string(to_string(drop)));
    }
  }

  void read_commands() {
    std::array<char, 4096> buffer;
    const ssize_t got = read(0, buffer.data(), buffer.size());
    if (got <= 0) {
      ended_ = true;
      return;
    }
    input_.append(buffer.data(), static_cast<std::size_t>(got));
    for (std::size_t end; (end = input_.find('\n')) != std::string::npos; input_.erase(0, end + 1)) {
      obey(input_.substr(0, end));
    }
  }

  void obey(const std::string& line) {
    std::istringstream words(line);
    std::string command;
    std::string host;
    Peer peer;
    words >> command >> peer.port >> host;
    if (command == "join") {
      peer.size = 4;
      (void)inet_pton(AF_INET, host.c_str(), peer.address.data());
      exchange(peer, true);
    } else if (command == "leave") {
      // Serf hears of a departure in two steps: its own intent, then memberlist's.
      std::string intent(1, '\0');
      MsgpackWriter to(intent);
      to.map(3);
      to.raw("LTime");
      to.integer(1000);
      to.raw("Node");
      to.raw(membership_.self().name);
      to.raw("Prune");
      to.boolean(false);
      membership_.broadcast(intent);
      membership_.leave(clock_now());
    } else if (command == "members") {
      std::string all = "members";
      membership_.each([&](const Member& member) {
        all += " " + member.name + "=" + std::string(to_string(member.state));
      });
      say(all);
    }
  }

  Random random_;
  Keyring keyring_;
  bool installed_;
  Wire wire_;
  Membership membership_;
  std::list<Connection> connections_;
  std::list<std::string> heard_;
  std::vector<std::string> pending_;
  std::string input_;
  std::uint64_t nonces_ = 0;
  int udp_;
  int tcp_;
  bool ended_ = false;
};

}  // namespace
}  // namespace remora::discovery::swim::test

int main(int count, char** arguments) {
  using namespace remora::discovery::swim;
  if (count < 5) return 2;
  Peer self;
  self.size = 4;
  self.port = static_cast<std::uint16_t>(std::atoi(arguments[3]));
  if (inet_pton(AF_INET, arguments[2], self.address.data()) != 1) return 2;
  test::Program(arguments[1], self, arguments[4], count > 5 ? test::from_hex(arguments[5]) : "").run();
  return 0;
}
