// The exposition's text, held against prometheus-cpp's own.
#include "proxy/metric_families.h"

#include <doctest/doctest.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <limits>
#include <string>
#include <vector>

namespace remora::proxy {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using prometheus::TextSerializer;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// What prometheus-cpp writes of one family with these series.
std::string library(MetricType type, std::vector<ClientMetric> metrics) {
  return TextSerializer().Serialize(
      {MetricFamily{.name = "name", .help = "Help.", .type = type, .metric = std::move(metrics)}});
}

TEST_CASE("numbers are written as prometheus-cpp writes them") {
  for (const double number : {0.0,      1.0,         2.5,        0.1,
                              1e-9,     123456789.0, 1.0 / 3,    6.4e-05,
                              0.000128, 67.108864,   1e15,       9007199254740991.0,
                              1e17,     1.5e300,     -1.0,       -0.25,
                              1e-300,   kInfinity,   -kInfinity, std::numeric_limits<double>::quiet_NaN()}) {
    CAPTURE(number);
    MetricFamilies out;
    out.gauge("name", "Help.");
    out.add({}, number);
    ClientMetric metric;
    metric.gauge.value = number;
    CHECK(out.text() == library(MetricType::Gauge, {metric}));
  }
}

TEST_CASE("counters keep every digit as far as Prometheus does") {
  for (const std::uint64_t number :
       {std::uint64_t{9'999'999}, std::uint64_t{4'294'967'297}, std::uint64_t{9'007'199'254'740'991},
        std::uint64_t{9'007'199'254'740'992}}) {
    MetricFamilies out;
    out.counter("name", "Help.");
    out.add({}, number);
    CHECK(out.text().ends_with("\nname " + std::to_string(number) + "\n"));
  }
}

TEST_CASE("labels are written as prometheus-cpp writes them, whatever is in them") {
  for (const std::string value :
       {"plain", "", "\"", "\\", "\n", "a\"b\\c\nd", "\\\\n\"\"", "caf\xc3\xa9", "{}=,"}) {
    CAPTURE(value);
    MetricFamilies out;
    out.counter("name", "Help.");
    out.add({{"one", value}, {"two", "x"}}, 7);
    out.add({{"one", value}}, 8);
    ClientMetric both;
    both.label = {{"one", value}, {"two", "x"}};
    both.counter.value = 7;
    ClientMetric one;
    one.label = {{"one", value}};
    one.counter.value = 8;
    CHECK(out.text() == library(MetricType::Counter, {both, one}));
  }
}

TEST_CASE("histograms are written as prometheus-cpp writes them, with labels and without") {
  Histogram histogram;
  for (const Duration took : {Duration{10us}, Duration{90us}, Duration{3ms}, Duration{100s}})
    histogram.observe(took);
  ClientMetric metric;
  metric.histogram.sample_count = 4;
  metric.histogram.sample_sum = histogram.sum_seconds();
  std::uint64_t cumulative = 0;
  for (std::size_t i = 0; i <= Histogram::kBounds; ++i) {
    cumulative += histogram.buckets()[i];
    const double bound =
        i < Histogram::kBounds ? static_cast<double>(Histogram::bound(i).count()) / 1e6 : kInfinity;
    metric.histogram.bucket.push_back({cumulative, bound});
  }
  MetricFamilies bare;
  bare.histogram("name", "Help.");
  bare.add({}, histogram);
  CHECK(bare.text() == library(MetricType::Histogram, {metric}));

  MetricFamilies labelled;
  labelled.histogram("name", "Help.");
  labelled.add({{"cluster", "a\nb"}}, histogram);
  metric.label = {{"cluster", "a\nb"}};
  CHECK(labelled.text() == library(MetricType::Histogram, {metric}));
}

TEST_CASE("a metric without a series is left out, and those around it are not") {
  MetricFamilies out;
  out.counter("first", "One.");
  out.add({}, 1);
  out.gauge("empty", "None.");
  out.histogram("also_empty", "None.");
  out.gauge("last", "Two.");
  out.add({}, 2);
  CHECK(out.text() ==
        "# HELP first One.\n# TYPE first counter\nfirst 1\n# HELP last Two.\n# TYPE last gauge\nlast 2\n");
  CHECK(MetricFamilies().text().empty());
}

}  // namespace
}  // namespace remora::proxy
