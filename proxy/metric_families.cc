#include "proxy/metric_families.h"

#include <prometheus/metric_family.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

namespace remora::proxy {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

namespace {

constexpr int kDigits = std::numeric_limits<double>::max_digits10 - 1;  // of numbers that are not whole
constexpr double kLargestExact = 9007199254740992.0;                    // 2^53

void append(std::string& out, std::uint64_t number) {
  std::array<char, 20> text{};
  out.append(text.data(), std::to_chars(text.data(), text.data() + text.size(), number).ptr);
}

void append(std::string& out, double number) {
  if (!std::isfinite(number)) {
    out += std::isnan(number) ? "Nan" : number > 0 ? "+Inf" : "-Inf";
  } else if (number >= 0 && number <= kLargestExact && number == std::trunc(number)) {
    append(out, static_cast<std::uint64_t>(number));
  } else {
    std::array<char, 32> text{};
    char* const end = text.data() + text.size();
    const auto written = std::to_chars(text.data(), end, number, std::chars_format::general, kDigits);
    out.append(text.data(), written.ptr);
  }
}

void append_escaped(std::string& out, std::string_view value) {
  const auto special = [](char c) { return c == '\\' || c == '"' || c == '\n'; };
  if (std::ranges::none_of(value, special)) {
    out += value;
    return;
  }
  for (const char c : value) {
    if (special(c)) out += '\\';
    out += c == '\n' ? 'n' : c;
  }
}

// name{label="value",...}, with a space after it. `bound`: of a bucket.
void append_series(std::string& out, std::string_view name, std::string_view suffix,
                   const ClientMetric& metric, const double* bound = nullptr) {
  out.append(name).append(suffix);
  char before = '{';
  for (const auto& label : metric.label) {
    (out += before).append(label.name).append("=\"");
    append_escaped(out, label.value);
    out += '"';
    before = ',';
  }
  if (bound != nullptr) {
    (out += before).append("le=\"");
    append(out, *bound);
    out += '"';
    before = ',';
  }
  out.append(before == '{' ? " " : "} ");
}

void append_histogram(std::string& out, std::string_view name, const ClientMetric& metric) {
  append_series(out, name, "_count", metric);
  append(out, metric.histogram.sample_count);
  append_series(out += '\n', name, "_sum", metric);
  append(out, metric.histogram.sample_sum);
  out += '\n';
  for (const auto& bucket : metric.histogram.bucket) {
    append_series(out, name, "_bucket", metric, &bucket.upper_bound);
    append(out, bucket.cumulative_count);
    out += '\n';
  }
}

void append_head(std::string& out, const MetricFamily& family) {
  out.append("# HELP ").append(family.name).append(" ").append(family.help);
  out.append("\n# TYPE ").append(family.name).append(" ");
  out.append(family.type == MetricType::Counter ? "counter\n"
             : family.type == MetricType::Gauge ? "gauge\n"
                                                : "histogram\n");
}

}  // namespace

// What is added is written at once: all of it as objects would be megabytes in a large configuration.
struct MetricFamilies::All {
  void begin(MetricType type, std::string_view name, std::string_view help) {
    family.name = name;
    family.help = help;
    family.type = type;
    empty = true;
  }
  void set(Labels labels) {
    if (std::exchange(empty, false)) append_head(text, family);
    metric.label.resize(labels.size());
    auto label = metric.label.begin();
    for (const auto& [name, value] : labels) {
      label->name = name;
      label->value = value;
      ++label;
    }
  }

  MetricFamily family;
  ClientMetric metric;  // the latest
  bool empty = true;    // nothing of the family is written
  std::string text;
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

void MetricFamilies::add_number(Labels labels, double number) {
  all_->set(labels);
  append_series(all_->text, all_->family.name, "", all_->metric);
  append(all_->text, number);
  all_->text += '\n';
}

void MetricFamilies::add(Labels labels, const Histogram& histogram) {
  all_->set(labels);
  auto& out = all_->metric.histogram;
  out.bucket.clear();
  std::uint64_t cumulative = 0;
  for (std::size_t i = 0; i < histogram.buckets().size(); ++i) {
    cumulative += histogram.buckets()[i];
    const double bound = i < Histogram::kBounds ? static_cast<double>(Histogram::bound(i).count()) / 1e6
                                                : std::numeric_limits<double>::infinity();
    out.bucket.push_back({.cumulative_count = cumulative, .upper_bound = bound});
  }
  out.sample_count = cumulative;
  out.sample_sum = histogram.sum_seconds();
  append_histogram(all_->text, all_->family.name, all_->metric);
}

std::string MetricFamilies::text() { return std::move(all_->text); }

}  // namespace remora::proxy
