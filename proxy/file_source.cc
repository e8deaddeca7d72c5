#include "proxy/file_source.h"

#include <utility>

#include "base/log.h"
#include "config/load.h"

namespace remora::proxy {

namespace {

constexpr std::size_t kMostLines = 20;  // of the log, for one bad file

}  // namespace

FileSource::FileSource(const SourceParts& parts, std::string path, bool watched)
    : parts_(parts), path_(std::move(path)) {
  read();
  watch(watched);
}

void FileSource::watch(bool watched) {
  if (!watched) {
    watch_ = nullptr;
  } else if (watch_ == nullptr) {
    watch_ = std::make_unique<net::FileWatch>(
        parts_.loop, path_, [this] { look(); }, net::FileWatch::Missing::kTold);
  }
}

void FileSource::look() {
  if (read()) parts_.changed();
}

// True: the list is another one.
bool FileSource::read() {
  auto loaded = config::load_endpoints(path_);
  if (!loaded) {
    const config::Problems& problems = loaded.error();
    std::string reason = problems.front().to_string();
    if (problems.size() > 1) reason += " (and " + std::to_string(problems.size() - 1) + " more)";
    // The watch looks once more than needed.
    if (record_.failing() && record_.last_error() == reason) return false;
    log_error("endpoints file cannot be used, those read before stay",
              {{"file", path_},
               {"errors", std::to_string(problems.size())},
               {"endpoints", std::to_string(list_.size())}});
    for (std::size_t i = 0; i < problems.size() && i < kMostLines; ++i) {
      log_error("endpoints error", {{"error", problems[i].to_string()}});
    }
    tell("rejected", reason);
    record_.on_failure(std::move(reason), parts_.loop.wheel().now());
    return false;
  }
  List list;
  list.reserve(loaded->size());
  for (config::Endpoint& endpoint : *loaded) list.push_back({.endpoint = std::move(endpoint)});
  const bool first = !record_.answered_at();
  const bool failed = record_.failing();
  record_.on_answer(parts_.loop.wheel().now());
  const bool changed = list != list_;
  list_ = std::move(list);
  if (first || failed || changed) {
    const std::string count = std::to_string(list_.size());
    log_info("endpoints read", {{"file", path_}, {"endpoints", count}});
    tell("read", count + (list_.size() == 1 ? " endpoint" : " endpoints"));
  }
  return changed;
}

void FileSource::tell(std::string to, std::string reason) {
  parts_.tell({.at = parts_.loop.wheel().now(),
               .kind = Event::Kind::kFile,
               .cluster = {},
               .endpoint = path_,
               .from = {},
               .to = std::move(to),
               .reason = std::move(reason)});
}

SourceView FileSource::view() const {
  return view_of(record_, SourceView::Kind::kFile, path_, list_.size(), parts_.loop.wheel().now());
}

}  // namespace remora::proxy
