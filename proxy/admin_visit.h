// One request to the admin server: finds its page, refuses what may not be, answers.
//
// Thread: the control thread. Owner: Admin; it is buried once it has answered and nobody owes it numbers.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "proxy/admin.h"

namespace remora::proxy {

class Admin::Visit final : public http::Receiver {
 public:
  Visit(Admin& admin, http::ServerStream& stream, http::RequestHead& head) : admin_(admin), stream_(&stream) {
    std::swap(head_, head);
  }

  void handle();
  std::size_t slot = 0;

  // The body of a request is of no interest, but the answer waits for its end.
  void on_body(std::string_view bytes, bool end) override {
    if (end) return handle();
    stream_->consume(bytes.size());
  }
  void on_trailers(const http::FieldList& /*trailers*/) override { handle(); }
  void on_writable() override {}
  void on_reset(const Error& /*error*/) override {
    stream_ = nullptr;
    if (!collecting_) admin_.forget(*this);
  }

 private:
  // A page is read (GET, HEAD), or changes something (POST), or both.
  struct Page;
  static const std::vector<Page>& pages();

  void show_ui();
  void show_help();
  void show_healthz();
  void show_readyz();
  void show_metrics();
  void show_clusters();
  void show_stats();
  void show_members();
  void show_events();
  void show_config();
  void show_log();
  void change_log();
  void show_reload();
  void reload();
  void drain();
  void quit();
  void answer_reload(const ReloadReport& report);
  void order(std::string_view path);

  // True, and nobody waits for an answer any more: the client left while this was collecting.
  bool forgotten();

  using Reports = std::vector<WorkerReport>;
  // Calls `then` with the workers' numbers, unless the client has left by then.
  void collect(void (Visit::*then)(const Reports&));
  void answer_clusters(const Reports& reports);
  void answer_stats(const Reports& reports);

  // What a query says of a key; "" when nothing.
  std::string_view query(std::string_view key) const;
  void answer(unsigned status, std::string_view type, std::string_view body,
              std::initializer_list<std::pair<std::string_view, std::string_view>> fields = {});
  void answer_text(unsigned status, std::string_view text);
  void refuse_method(const Page& page);

  Admin& admin_;
  http::ServerStream* stream_;
  http::RequestHead head_;
  bool collecting_ = false;
};

}  // namespace remora::proxy
