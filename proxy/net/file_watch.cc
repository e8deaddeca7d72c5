#include "proxy/net/file_watch.h"

#include <uv.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "proxy/net/uv_handle.h"

namespace remora::net {

namespace {

namespace fs = std::filesystem;

constexpr int kMostLinks = 16;  // of one path that lead on to another

// The directories in which something must change for `path` to mean another content.
std::vector<std::string> directories_of(const std::string& path) {
  std::vector<std::string> found;
  std::error_code error;
  fs::path at = fs::absolute(path, error);
  for (int links = 0; links < kMostLinks; ++links) {
    // A directory on the way may be a link itself: `config -> ..data/config`, `..data -> ..2024`.
    fs::path walked;
    fs::path next;
    for (auto part = at.begin(); part != at.end(); ++part) {
      const fs::path parent = walked;
      walked /= *part;
      if (!fs::is_symlink(walked, error)) continue;
      found.push_back(parent.string());
      next = (parent / fs::read_symlink(walked, error)).lexically_normal();
      for (++part; part != at.end(); ++part) next /= *part;
      break;
    }
    if (next.empty()) break;
    at = next;
  }
  found.push_back(at.parent_path().string());
  std::ranges::sort(found);
  found.erase(std::ranges::unique(found).begin(), found.end());
  return found;
}

}  // namespace

struct FileWatch::Directory {
  std::string path;
  UvHandle<uv_fs_event_t> handle;
};

FileWatch::FileWatch(Loop& loop, std::string path, std::function<void()> changed, Missing missing)
    : loop_(loop), path_(std::move(path)), changed_(std::move(changed)), missing_(missing) {
  watch();
  latest_ = identity();
  on_event();
}

FileWatch::~FileWatch() = default;

void FileWatch::watch() {
  auto before = std::move(directories_);
  directories_.clear();
  for (std::string& path : directories_of(path_)) {
    const auto same = std::ranges::find_if(before, [&](const auto& d) { return d && d->path == path; });
    // Another directory may have this one's name by now, which the old watch would not notice: made anew, but
    // for the one that is there for good.
    if (same != before.end() && path == fs::path(path_).parent_path().string()) {
      directories_.push_back(std::move(*same));
      continue;
    }
    auto directory = std::make_unique<Directory>();
    directory->path = std::move(path);
    const auto opened =
        directory->handle.open([&](uv_fs_event_t* handle) { return uv_fs_event_init(loop_.uv(), handle); });
    if (opened < 0) continue;
    directory->handle->data = this;
    const auto on_change = [](uv_fs_event_t* handle, const char*, int, int) {
      if (handle->data == nullptr) return;
      auto& watch = *static_cast<FileWatch*>(handle->data);
      watch.loop_.event([&] { watch.on_event(); });
    };
    if (uv_fs_event_start(directory->handle.get(), on_change, directory->path.c_str(), 0) < 0) continue;
    directories_.push_back(std::move(directory));
  }
}

// Others may write in the same directories all the time: the first event begins the wait, none prolongs it.
void FileWatch::on_event() {
  if (!timer_.armed()) loop_.wheel().arm_in(timer_, kQuiet);
}

void FileWatch::on_quiet() {
  watch();
  const std::string now = identity();
  if (now != std::exchange(latest_, now)) return loop_.wheel().arm_in(timer_, kQuiet);
  if (now == told_ || (now.empty() && missing_ == Missing::kAwaited)) return;
  told_ = now;
  changed_();
}

std::string FileWatch::identity() const {
  std::error_code error;
  const fs::path path = fs::canonical(path_, error);
  if (error) return {};
  const auto size = fs::file_size(path, error);
  const auto written = fs::last_write_time(path, error).time_since_epoch().count();
  if (error) return {};
  return path.string() + ' ' + std::to_string(size) + ' ' + std::to_string(written);
}

}  // namespace remora::net
