// A file with a list of endpoints as a source (config::load_endpoints). A file that cannot be used changes
// nothing: the list read before stays.
//
// Thread: the control thread; reads a file of at most 1 MiB. Owner: EndpointSources.
#pragma once

#include <memory>
#include <string>

#include "discovery/source_record.h"
#include "proxy/endpoint_source.h"
#include "proxy/net/file_watch.h"

namespace remora::proxy {

class FileSource final : public EndpointSource {
 public:
  // Reads at once.
  FileSource(const SourceParts& parts, std::string path, bool watched);

  // Whether it is read anew when it changes.
  void watch(bool watched);
  // Reads anew.
  void look();

  List list() const override { return list_; }
  bool settled() const override { return record_.settled(); }
  SourceView view() const override;

 private:
  bool read();
  void tell(std::string to, std::string reason);

  SourceParts parts_;
  std::string path_;
  discovery::SourceRecord record_;
  List list_;
  std::unique_ptr<net::FileWatch> watch_;
};

}  // namespace remora::proxy
