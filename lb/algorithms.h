// The algorithms behind make_balancer(), each hidden in its own .cc. Only balancer.cc needs this header.
#pragma once

#include <memory>

#include "lb/balancer.h"

namespace remora::lb {

std::unique_ptr<Balancer> make_round_robin();                   // round_robin.cc
std::unique_ptr<Balancer> make_weighted_random();               // weighted_random.cc
std::unique_ptr<Balancer> make_two_choices(bool use_latency);   // two_choices.cc: least_request or peak_ewma
std::unique_ptr<Balancer> make_ring_hash(double bounded_load);  // consistent_hash.cc
std::unique_ptr<Balancer> make_maglev(double bounded_load);     // consistent_hash.cc

}  // namespace remora::lb
