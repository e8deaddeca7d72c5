#include "config/cores.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <iterator>
#include <thread>
#include <vector>

namespace remora::config {

namespace {

template <typename Number>
std::optional<Number> number(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Takes what comes before the separator, and the separator, off the front.
std::string_view take(std::string_view& text, char separator) {
  const auto end = text.find(separator);
  const auto part = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return part;
}

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// "/a/b" -> "/a/b", "/a", "": a group's limit holds for the groups in it.
std::vector<std::string> up_to_root(std::string path) {
  while (path.ends_with('/')) path.pop_back();
  std::vector<std::string> all{path};
  while (!path.empty()) {
    path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
    all.push_back(path);
  }
  return all;
}

}  // namespace

std::optional<double> cores_of_cpu_max(std::string_view cpu_max) {
  const auto quota = take(cpu_max, ' ');
  return cores_of_cfs(quota, cpu_max);
}

std::optional<double> cores_of_cfs(std::string_view quota, std::string_view period) {
  const auto share = number<std::int64_t>(quota);
  const auto whole = number<std::int64_t>(period);
  if (!share || !whole || *share <= 0 || *whole <= 0) return std::nullopt;
  return static_cast<double>(*share) / static_cast<double>(*whole);
}

std::optional<unsigned> cores_of_affinity(std::string_view status) {
  static constexpr std::string_view kKey = "Cpus_allowed_list:";
  const auto found = status.find(kKey);
  if (found == std::string_view::npos) return std::nullopt;
  status.remove_prefix(found + kKey.size());
  auto list = take(status, '\n');
  while (list.starts_with('\t') || list.starts_with(' ')) list.remove_prefix(1);
  unsigned count = 0;
  while (!list.empty()) {
    auto range = take(list, ',');
    const auto first = number<unsigned>(take(range, '-'));
    const auto last = range.empty() ? first : number<unsigned>(range);
    if (!first || !last || *last < *first || *last > 1'000'000) return std::nullopt;
    count += *last - *first + 1;
  }
  return count == 0 ? std::nullopt : std::optional(count);
}

CgroupPaths cgroup_paths(std::string_view proc_self_cgroup) {
  CgroupPaths paths;
  while (!proc_self_cgroup.empty()) {
    auto line = take(proc_self_cgroup, '\n');  // "4:cpu,cpuacct:/path", or "0::/path" for v2
    const auto hierarchy = take(line, ':');
    auto controllers = take(line, ':');
    if (hierarchy == "0" && controllers.empty()) {
      paths.v2 = line;
      continue;
    }
    while (!controllers.empty()) {
      if (take(controllers, ',') == "cpu") paths.v1 = line;
    }
  }
  return paths;
}

unsigned cores_from(std::span<const double> quotas, std::optional<unsigned> affinity) {
  double cores = affinity ? static_cast<double>(*affinity) : static_cast<double>(kMostWorkers);
  for (const double quota : quotas) cores = std::min(cores, quota);
  return static_cast<unsigned>(std::clamp(std::ceil(cores), 1.0, static_cast<double>(kMostWorkers)));
}

unsigned granted_cores() {
  const auto paths = cgroup_paths(contents("/proc/self/cgroup"));
  std::vector<double> quotas;
  for (const auto& group : up_to_root(paths.v2.value_or(""))) {
    const auto quota = cores_of_cpu_max(contents("/sys/fs/cgroup" + group + "/cpu.max"));
    if (quota) quotas.push_back(*quota);
  }
  for (const auto& group : up_to_root(paths.v1.value_or(""))) {
    const auto folder = "/sys/fs/cgroup/cpu" + group;
    const auto quota =
        cores_of_cfs(contents(folder + "/cpu.cfs_quota_us"), contents(folder + "/cpu.cfs_period_us"));
    if (quota) quotas.push_back(*quota);
  }
  auto affinity = cores_of_affinity(contents("/proc/self/status"));
  if (!affinity) affinity = std::max(1U, std::thread::hardware_concurrency());
  return cores_from(quotas, affinity);
}

}  // namespace remora::config
