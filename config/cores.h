// How many workers `workers = "auto"` means: the cores this process may really use, which in a container are
// fewer than the machine has.
//
// Thread: any.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace remora::config {

inline constexpr unsigned kMostWorkers = 256;

// cgroup v2's cpu.max, "150000 100000" -> 1.5 cores; nullopt: no limit ("max 100000"), or not understood.
std::optional<double> cores_of_cpu_max(std::string_view cpu_max);

// cgroup v1's cpu.cfs_quota_us and cpu.cfs_period_us; a quota of -1 is no limit.
std::optional<double> cores_of_cfs(std::string_view quota, std::string_view period);

// How many CPUs /proc/self/status allows ("Cpus_allowed_list:\t0-3,8"); nullopt if it does not say.
std::optional<unsigned> cores_of_affinity(std::string_view status);

// The group's path in /proc/self/cgroup: of the controller `cpu` for v1, of the unified hierarchy for v2.
struct CgroupPaths {
  std::optional<std::string> v1;
  std::optional<std::string> v2;
};
CgroupPaths cgroup_paths(std::string_view proc_self_cgroup);

// The tightest of all limits, rounded up so that a grant of 1.5 is used whole; 1 to kMostWorkers.
unsigned cores_from(std::span<const double> quotas, std::optional<unsigned> affinity);

// Asks this machine, now: /proc/self/{status,cgroup} and the group's files, from its own up to the root.
unsigned granted_cores();

}  // namespace remora::config
