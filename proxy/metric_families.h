// Collects metrics, family by family, and writes them as Prometheus text (exposition format 0.0.4). The model
// is prometheus-cpp's; the text is our own, since that of the library takes most of a scrape's time
// (tests/bench/scrape). A test holds the two against each other.
//
// Thread: the control thread. Owner: whoever makes it, for one scrape.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "proxy/stats.h"

namespace remora::proxy {

class MetricFamilies final {
 public:
  // For the length of a call.
  using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

  MetricFamilies();
  ~MetricFamilies();
  MetricFamilies(const MetricFamilies&) = delete;
  MetricFamilies& operator=(const MetricFamilies&) = delete;

  // Begins the metric that the following add() belong to. No name twice.
  void counter(std::string_view name, std::string_view help);
  void gauge(std::string_view name, std::string_view help);
  void histogram(std::string_view name, std::string_view help);

  // One series of it; no labels twice. Numbers with counter() and gauge(); whole ones are exact up to 2^53,
  // as they are in Prometheus itself.
  template <typename Number>
  void add(Labels labels, Number number) {
    add_number(labels, static_cast<double>(number));
  }
  void add(Labels labels, const Histogram& histogram);

  // All of it; metrics without a series are left out. Call once.
  std::string text();

 private:
  struct All;

  void add_number(Labels labels, double number);

  std::unique_ptr<All> all_;
};

}  // namespace remora::proxy
