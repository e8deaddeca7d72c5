// Collects metrics, family by family, and writes them as Prometheus text (exposition format 0.0.4).
//
// Thread: the control thread. Owner: whoever makes it, for one scrape.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/stats.h"

namespace remora::proxy {

class MetricFamilies final {
 public:
  using Labels = std::vector<std::pair<std::string_view, std::string>>;

  MetricFamilies();
  ~MetricFamilies();
  MetricFamilies(const MetricFamilies&) = delete;
  MetricFamilies& operator=(const MetricFamilies&) = delete;

  // Begins the metric that the following add() belong to. No name twice.
  void counter(std::string_view name, std::string_view help);
  void gauge(std::string_view name, std::string_view help);
  void histogram(std::string_view name, std::string_view help);

  // One series of it; no labels twice. Numbers with counter() and gauge().
  template <typename Number>
  void add(const Labels& labels, Number number) {
    add_number(labels, static_cast<double>(number));
  }
  void add(const Labels& labels, const Histogram& histogram);

  // All of it; metrics without a series are left out. Call once.
  std::string text();

 private:
  struct All;

  void add_number(const Labels& labels, double number);

  std::unique_ptr<All> all_;
};

}  // namespace remora::proxy
