#include "proxy/reload_report.h"

#include "proxy/json_writer.h"

namespace remora::proxy {

const char* to_string(ReloadReport::Result result) {
  switch (result) {
    case ReloadReport::Result::kApplied: return "applied";
    case ReloadReport::Result::kUnchanged: return "unchanged";
    case ReloadReport::Result::kRejected: return "rejected";
    case ReloadReport::Result::kRefused: return "refused";
  }
  return "refused";
}

std::string reload_json(const ReloadReport& report) {
  JsonWriter out;
  out.object().pair("result", std::string_view(to_string(report.result))).pair("at", report.at);
  out.key("changes").array();
  for (const config::Change& change : report.changes) {
    out.object()
        .pair("kind", std::string_view(config::to_string(change.kind)))
        .pair("object", std::string_view(change.object));
    out.key("details").array();
    for (const std::string& detail : change.details) out.value(std::string_view(detail));
    out.end_array().pair("restart", change.restart).end_object();
  }
  out.end_array().key("errors").array();
  for (const std::string& error : report.errors) out.value(std::string_view(error));
  out.end_array().end_object();
  return out.take();
}

std::string reload_text(const ReloadReport& report) {
  std::string text;
  for (const std::string& error : report.errors) text += error + '\n';
  for (const config::Change& change : report.changes) text += change.to_string() + '\n';
  if (report.result == ReloadReport::Result::kUnchanged) text += "nothing has changed\n";
  if (report.result == ReloadReport::Result::kRejected) text += "rejected: nothing has changed\n";
  return text;
}

std::string reload_summary(const ReloadReport& report) {
  constexpr std::size_t kMost = 3;
  std::vector<std::string> lines = report.errors;
  for (const config::Change& change : report.changes) lines.push_back(change.to_string());
  if (lines.empty()) return "the file says what is running";
  std::string text;
  for (std::size_t i = 0; i < lines.size() && i < kMost; ++i) text += (i > 0 ? "; " : "") + lines[i];
  if (lines.size() > kMost) text += "; and " + std::to_string(lines.size() - kMost) + " more";
  return text;
}

}  // namespace remora::proxy
