#include "proxy/privileges.h"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>

#include "base/log.h"

namespace remora::proxy {

namespace {

struct User {
  std::string name;  // empty: the password file does not know the number
  uid_t uid = 0;
  gid_t gid = 0;
};

std::unexpected<Error> refused(std::string detail) {
  return std::unexpected(
      Error(ErrorCode::kInvalid, Side::kInternal, Retry::kNo, "runtime.user: " + std::move(detail)));
}

std::string reason() { return std::strerror(errno); }

std::optional<unsigned> number(std::string_view text) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

// NAME, UID, or UID:GID; the last needs no password file, which a container may not have.
Result<User> find_user(const std::string& text) {
  const std::size_t colon = text.find(':');
  const auto uid = number(std::string_view(text).substr(0, colon));
  if (uid && colon != std::string::npos) {
    const auto gid = number(std::string_view(text).substr(colon + 1));
    // To setresuid() and setresgid() the largest number means "as before", which is root.
    if (!gid || *uid == static_cast<uid_t>(-1) || *gid == static_cast<gid_t>(-1)) {
      return refused(text + " has a number that no user or group can have");
    }
    return User{.name = {}, .uid = *uid, .gid = *gid};
  }
  errno = 0;
  const passwd* const found = uid ? ::getpwuid(*uid) : ::getpwnam(text.c_str());
  if (found == nullptr && uid) {
    return refused("the system does not know the user " + text + ", write its group, too: \"" + text +
                   ":GID\"");
  }
  if (found == nullptr) {
    return refused("the system does not know the user " + text + (errno != 0 ? " (" + reason() + ")" : "") +
                   ", create it or write \"UID:GID\"");
  }
  return User{.name = found->pw_name, .uid = found->pw_uid, .gid = found->pw_gid};
}

// Of the calling thread.
bool keep_only_binding() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  if (::syscall(SYS_capget, &header, sets.data()) != 0) return false;
  constexpr std::uint32_t kBinding = 1U << CAP_NET_BIND_SERVICE;
  const std::uint32_t kept = sets[0].permitted & kBinding;
  sets = {};
  sets[0].permitted = sets[0].effective = kept;
  return ::syscall(SYS_capset, &header, sets.data()) == 0;
}

Result<void> become(const std::string& text) {
  const auto user = find_user(text);
  if (!user) return std::unexpected(user.error());
  if (user->uid == 0)
    return refused(text + " is root, which is what it is there to give up: name another, or nobody");
  if (::geteuid() == user->uid && ::getuid() == user->uid) return {};
  if (::geteuid() != 0) {
    return refused("this is the user " + std::to_string(::geteuid()) + " and may not become " + text +
                   ": start it as root, or leave runtime.user out");
  }
  const int groups =
      user->name.empty() ? ::setgroups(0, nullptr) : ::initgroups(user->name.c_str(), user->gid);
  const bool kept = ::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0;
  if (groups != 0 || ::setresgid(user->gid, user->gid, user->gid) != 0 ||
      ::setresuid(user->uid, user->uid, user->uid) != 0) {
    return refused("cannot become " + text + ": " + reason());
  }
  if (!kept || !keep_only_binding()) return refused("cannot give up root's capabilities: " + reason());
  // setresuid() has forbidden core dumps; that is guard_memory()'s to say.
  if (::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0) log_warn("core dumps are refused", {{"reason", reason()}});
  log_info("privileges given up", {{"user", text}, {"uid", std::to_string(user->uid)}});
  return {};
}

[[maybe_unused]] bool has_secrets(const config::Config& config) {
  return (config.mesh && (!config.mesh->key.empty() || !config.mesh->key_file.empty())) ||
         std::ranges::any_of(config.listeners,
                             [](const auto& listener) { return listener.tls.has_value(); }) ||
         std::ranges::any_of(config.clusters, [](const auto& cluster) { return cluster.tls.has_value(); });
}

}  // namespace

void forbid_new_privileges() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    log_warn("no_new_privs is refused", {{"reason", reason()}});
}

Result<void> give_up_privileges(const config::Runtime& runtime) {
  return runtime.user.empty() ? Result<void>() : become(runtime.user);
}

void guard_memory([[maybe_unused]] const config::Config& config) {
#ifndef REMORA_SANITIZED  // the search for leaks has to look into the process
  if (config.runtime.core_dumps) {
    if (::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0) log_warn("core dumps are refused", {{"reason", reason()}});
  } else if (has_secrets(config) && ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
    log_warn("core dumps cannot be forbidden", {{"reason", reason()}});
  }
#endif
}

bool readable(const std::string& file) { return ::access(file.c_str(), R_OK) == 0; }

bool writable(const std::string& file) { return ::access(file.c_str(), W_OK) == 0; }

}  // namespace remora::proxy
