#include "proxy/reload_report.h"

#include <doctest/doctest.h>

using namespace remora;
using namespace remora::proxy;

TEST_CASE("what came of a reload is told to programs and to people") {
  using Kind = config::Change::Kind;
  ReloadReport report{.result = ReloadReport::Result::kApplied,
                      .changes = {{.kind = Kind::kChanged,
                                   .object = "listener \"in\"",
                                   .details = {"routes", "limits"},
                                   .restart = false},
                                  {.kind = Kind::kAdded, .object = "cluster b", .details = {}}},
                      .errors = {},
                      .at = 12.5};
  CHECK(report.good());
  CHECK(reload_json(report) ==
        R"({"result":"applied","at":12.5,"changes":[{"kind":"changed","object":"listener \"in\"",)"
        R"("details":["routes","limits"],"restart":false},{"kind":"added","object":"cluster b",)"
        R"("details":[],"restart":false}],"errors":[]})");
  CHECK(reload_text(report) == "changed listener \"in\": routes, limits\nadded cluster b\n");

  report = {
      .result = ReloadReport::Result::kRejected, .changes = {}, .errors = {"f:1: a", "f:2: b"}, .at = 1};
  CHECK(!report.good());
  CHECK(reload_json(report) == R"({"result":"rejected","at":1,"changes":[],"errors":["f:1: a","f:2: b"]})");
  CHECK(reload_text(report) == "f:1: a\nf:2: b\nrejected: nothing has changed\n");

  report = {.result = ReloadReport::Result::kUnchanged, .changes = {}, .errors = {}, .at = 1};
  CHECK(report.good());
  CHECK(reload_text(report) == "nothing has changed\n");
  report = {.result = ReloadReport::Result::kRefused, .changes = {}, .errors = {"draining"}, .at = 1};
  CHECK(!report.good());
  CHECK(reload_text(report) == "draining\n");
}

TEST_CASE("what came of a reload fits into one line") {
  ReloadReport report{.result = ReloadReport::Result::kRejected,
                      .changes = {},
                      .errors = {"f:1: a", "f:2: b", "f:3: c"},
                      .at = 1};
  CHECK(reload_summary(report) == "f:1: a; f:2: b; f:3: c");
  report.errors.insert(report.errors.end(), {"f:4: d", "f:5: e"});
  CHECK(reload_summary(report) == "f:1: a; f:2: b; f:3: c; and 2 more");
  report = {.result = ReloadReport::Result::kApplied,
            .changes = {{.kind = config::Change::Kind::kAdded, .object = "cluster b", .details = {}}},
            .errors = {},
            .at = 1};
  CHECK(reload_summary(report) == "added cluster b");
  report = {.result = ReloadReport::Result::kUnchanged, .changes = {}, .errors = {}, .at = 1};
  CHECK(reload_summary(report) == "the file says what is running");
}
