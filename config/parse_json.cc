#include "config/parse_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "config/scan.h"

namespace remora::config {

namespace {

using Json = nlohmann::json;

// The library tells a reader of its events nothing of lines; but it reads a value to its end, or one
// character further, before it tells of it. So the line of a value is that of the last character read.
struct LineCounter {
  std::size_t next = 1;
  std::size_t last = 1;
};

class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, LineCounter& lines) : at_(at), lines_(&lines) {}
  const char& operator*() const { return *at_; }
  CountingIterator& operator++() {
    lines_->last = lines_->next;
    if (*at_ == '\n') ++lines_->next;
    ++at_;
    return *this;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }

 private:
  const char* at_;
  LineCounter* lines_;
};

// Builds the tree from the library's events. A false answer ends the parsing.
class Builder final : public nlohmann::json_sax<Json> {
 public:
  Builder(const LineCounter& lines, Substitution& substitution, Report& report)
      : lines_(lines), substitution_(substitution), report_(report) {}

  std::optional<Node> take() { return std::move(root_); }

  bool null() override { return broken("null is no value, leave the key out"); }
  bool boolean(bool value) override {
    Node node = fresh(Node::Kind::kBoolean);
    node.boolean = value;
    node.text = value ? "true" : "false";
    return add(std::move(node));
  }
  bool number_integer(number_integer_t value) override {
    Node node = fresh(Node::Kind::kInteger);
    node.integer = value;
    node.text = std::to_string(value);
    return add(std::move(node));
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (value > static_cast<number_unsigned_t>(std::numeric_limits<std::int64_t>::max())) {
      return broken("number does not fit 64 bits, write a smaller one");
    }
    return number_integer(static_cast<number_integer_t>(value));
  }
  bool number_float(number_float_t value, const string_t& /*written*/) override {
    if (!std::isfinite(value)) return broken("number is not finite, write a plain one");
    Node node = fresh(Node::Kind::kFloat);
    node.number = value;
    node.text = fmt::format("{}", value);
    return add(std::move(node));
  }
  bool string(string_t& value) override {
    if (value.find('\0') != std::string::npos) return broken("a NUL character is not allowed, remove it");
    auto filled = substitution_.fill(value);
    if (!filled) return broken(std::move(filled.error()));
    Node node = fresh(Node::Kind::kString);
    node.text = std::move(filled->text);
    node.from_environment = filled->from_environment;
    return add(std::move(node));
  }
  bool binary(binary_t& /*value*/) override { return false; }

  bool start_object(std::size_t /*elements*/) override { return open(Node::Kind::kTable); }
  bool start_array(std::size_t /*elements*/) override { return open(Node::Kind::kArray); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    key_ = std::move(name);
    if (open_.back().find(key_) != nullptr) {
      report_.add(place(), in_quotes(key_) + " is defined twice, remove one");
    }
    return true;
  }

  // "[json.exception.parse_error.101] parse error at line 2, column 5: ... - unexpected ...; expected ..."
  bool parse_error(std::size_t /*position*/, const std::string& /*token*/,
                   const nlohmann::detail::exception& error) override {
    const std::string_view what = error.what();
    const auto dash = what.rfind(" - ");
    const auto quoted = in_quotes(dash == std::string_view::npos ? what : what.substr(dash + 3));
    report_.add({lines_.last, ""}, fmt::format("this is not JSON: {}, mend this line or the one before",
                                               std::string_view(quoted).substr(1, quoted.size() - 2)));
    return false;
  }

 private:
  Node fresh(Node::Kind kind) {
    Node node;
    node.kind = kind;
    node.line = lines_.last;
    if (!open_.empty() && open_.back().kind == Node::Kind::kTable) node.key = std::exchange(key_, {});
    return node;
  }

  // Where the value that comes next stands, by the keys of those around it.
  Where place() const {
    Where where{lines_.last, {}};
    for (std::size_t i = 0; i < open_.size(); ++i) {
      if (open_[i].kind == Node::Kind::kArray) {
        where.key += "#" + std::to_string(open_[i].children.size() + 1);
      } else {
        where = where.member(i + 1 < open_.size() ? open_[i + 1].key : key_);
      }
    }
    return where;
  }

  bool add(Node node) {
    if (open_.empty()) {
      root_ = std::move(node);
    } else {
      open_.back().children.push_back(std::move(node));
    }
    return true;
  }

  bool broken(std::string message) {
    report_.add(place(), std::move(message));
    return add(fresh(Node::Kind::kBroken));
  }

  bool open(Node::Kind kind) {
    if (open_.size() == kMostDepth) {
      report_.add({lines_.last, ""}, fmt::format("nested more than {} levels deep, simplify it", kMostDepth));
      return false;
    }
    open_.push_back(fresh(kind));
    return true;
  }

  bool close() {
    Node node = std::move(open_.back());
    open_.pop_back();
    return add(std::move(node));
  }

  const LineCounter& lines_;
  Substitution& substitution_;
  Report& report_;
  std::optional<Node> root_;
  std::vector<Node> open_;  // from the root down
  std::string key_;         // of the value that comes next
};

}  // namespace

std::optional<Node> parse_json(std::string_view text, Substitution& substitution, Report& report) {
  LineCounter lines;
  Builder builder(lines, substitution, report);
  const char* const begin = text.data();
  const bool whole =
      Json::sax_parse(CountingIterator(begin, lines), CountingIterator(begin + text.size(), lines), &builder);
  return whole ? builder.take() : std::nullopt;
}

}  // namespace remora::config
