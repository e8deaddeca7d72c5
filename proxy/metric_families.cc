#include "proxy/metric_families.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <limits>

namespace remora::proxy {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

struct MetricFamilies::All {
  void begin(MetricType type, std::string_view name, std::string_view help) {
    families.push_back({.name = std::string(name), .help = std::string(help), .type = type, .metric = {}});
  }
  ClientMetric& add(const Labels& labels) {
    ClientMetric& metric = families.back().metric.emplace_back();
    for (const auto& [name, value] : labels) metric.label.push_back({std::string(name), value});
    return metric;
  }

  std::vector<MetricFamily> families;
};

MetricFamilies::MetricFamilies() : all_(std::make_unique<All>()) {}

MetricFamilies::~MetricFamilies() = default;

void MetricFamilies::counter(std::string_view name, std::string_view help) {
  all_->begin(MetricType::Counter, name, help);
}

void MetricFamilies::gauge(std::string_view name, std::string_view help) {
  all_->begin(MetricType::Gauge, name, help);
}

void MetricFamilies::histogram(std::string_view name, std::string_view help) {
  all_->begin(MetricType::Histogram, name, help);
}

void MetricFamilies::add_number(const Labels& labels, double number) {
  const bool counts = all_->families.back().type == MetricType::Counter;
  ClientMetric& metric = all_->add(labels);
  (counts ? metric.counter.value : metric.gauge.value) = number;
}

void MetricFamilies::add(const Labels& labels, const Histogram& histogram) {
  auto& out = all_->add(labels).histogram;
  std::uint64_t cumulative = 0;
  for (std::size_t i = 0; i < histogram.buckets().size(); ++i) {
    cumulative += histogram.buckets()[i];
    const double bound = i < Histogram::kBounds ? static_cast<double>(Histogram::bound(i).count()) / 1e6
                                                : std::numeric_limits<double>::infinity();
    out.bucket.push_back({.cumulative_count = cumulative, .upper_bound = bound});
  }
  out.sample_count = cumulative;
  out.sample_sum = histogram.sum_seconds();
}

std::string MetricFamilies::text() {
  std::erase_if(all_->families, [](const MetricFamily& family) { return family.metric.empty(); });
  return prometheus::TextSerializer().Serialize(all_->families);
}

}  // namespace remora::proxy
