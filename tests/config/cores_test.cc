#include "config/cores.h"

#include <doctest/doctest.h>

#include <vector>

using namespace remora::config;

TEST_CASE("cgroup v2 grants the quotient of quota and period") {
  CHECK(cores_of_cpu_max("150000 100000\n") == 1.5);
  CHECK(cores_of_cpu_max("50000 100000\n") == 0.5);
  CHECK(cores_of_cpu_max("max 100000\n") == std::nullopt);
  CHECK(cores_of_cpu_max("") == std::nullopt);
  CHECK(cores_of_cpu_max("100000") == std::nullopt);
  CHECK(cores_of_cpu_max("0 100000") == std::nullopt);
  CHECK(cores_of_cpu_max("100000 0") == std::nullopt);
  CHECK(cores_of_cpu_max("a b") == std::nullopt);
}

TEST_CASE("cgroup v1 has quota and period in two files") {
  CHECK(cores_of_cfs("200000\n", "100000\n") == 2.0);
  CHECK(cores_of_cfs("-1\n", "100000\n") == std::nullopt);
  CHECK(cores_of_cfs("", "") == std::nullopt);
}

TEST_CASE("the affinity is counted from its list of ranges") {
  CHECK(cores_of_affinity("Name:\tx\nCpus_allowed:\tf\nCpus_allowed_list:\t0-3\nMems:\t0\n") == 4);
  CHECK(cores_of_affinity("Cpus_allowed_list:\t0,2,8-11\n") == 6);
  CHECK(cores_of_affinity("Cpus_allowed_list:\t5") == 1);
  CHECK(cores_of_affinity("Cpus_allowed_list:\t3-1\n") == std::nullopt);
  CHECK(cores_of_affinity("Cpus_allowed_list:\tx\n") == std::nullopt);
  CHECK(cores_of_affinity("Cpus_allowed_list:\n") == std::nullopt);
  CHECK(cores_of_affinity("") == std::nullopt);
}

TEST_CASE("the group's path is that of the cpu controller or of the unified hierarchy") {
  const auto v2 = cgroup_paths("0::/system.slice/app.service\n");
  CHECK(v2.v2 == "/system.slice/app.service");
  CHECK(v2.v1 == std::nullopt);
  const auto v1 = cgroup_paths("12:pids:/p\n4:cpu,cpuacct:/docker/x\n3:cpuset:/s\n0::/u\n");
  CHECK(v1.v1 == "/docker/x");
  CHECK(v1.v2 == "/u");
  CHECK(cgroup_paths("").v2 == std::nullopt);
  CHECK(cgroup_paths("nonsense").v1 == std::nullopt);
}

TEST_CASE("the tightest limit counts, rounded up, and there is always one core") {
  const std::vector<double> none;
  CHECK(cores_from(none, 4) == 4);
  CHECK(cores_from(none, std::nullopt) == 256);
  CHECK(cores_from(std::vector{1.5}, 4) == 2);
  CHECK(cores_from(std::vector{8.0, 2.0}, 4) == 2);
  CHECK(cores_from(std::vector{8.0}, 4) == 4);
  CHECK(cores_from(std::vector{0.1}, 4) == 1);
  CHECK(cores_from(none, 1024) == 256);
}

TEST_CASE("this machine grants at least one core") {
  CHECK(granted_cores() >= 1);
  CHECK(granted_cores() <= kMostWorkers);
}
