#include "proxy/mesh_view.h"

#include <fmt/format.h>

#include <algorithm>

#include "proxy/json_writer.h"
#include "proxy/plain_text.h"

namespace remora::proxy {

namespace {

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

std::string members_json(const MeshView* mesh) {
  JsonWriter out;
  out.object().pair("enabled", mesh != nullptr);
  if (mesh != nullptr) {
    out.pair("node", std::string_view(mesh->node))
        .pair("address", std::string_view(mesh->address))
        .pair("label", std::string_view(mesh->label))
        .pair("encrypted", mesh->encrypted)
        .pair("health", mesh->numbers.health);
  }
  out.key("members").array();
  if (mesh != nullptr) {
    for (const MemberView& member : mesh->members) {
      out.object()
          .pair("name", std::string_view(member.name))
          .pair("address", std::string_view(member.address))
          .pair("state", to_string(member.state))
          .pair("since_seconds", seconds(member.since))
          .pair("incarnation", member.incarnation)
          .pair("self", member.self);
      // A list: the names are the peers', and the same one may come twice.
      out.key("tags").array();
      for (const auto& [name, value] : member.tags) {
        out.object().pair("name", std::string_view(name)).pair("value", std::string_view(value)).end_object();
      }
      out.end_array().end_object();
    }
  }
  out.end_array().end_object();
  return out.take() + '\n';
}

std::string members_text(const MeshView* mesh) {
  if (mesh == nullptr) return "there is no [mesh] in the configuration\n";
  std::size_t name_width = 4;
  std::size_t address_width = 7;
  for (const MemberView& member : mesh->members) {
    name_width = std::max(name_width, member.name.size());
    address_width = std::max(address_width, member.address.size());
  }
  std::string text = fmt::format("{:<{}}  {:<{}}  {:<7}  {:>5}  tags\n", "name", name_width, "address",
                                 address_width, "state", "since");
  for (const MemberView& member : mesh->members) {
    std::string tags;
    for (const auto& [name, value] : member.tags) {
      tags += (tags.empty() ? "" : ",") + printable(name) + "=" + printable(value);
    }
    text += fmt::format("{:<{}}  {:<{}}  {:<7}  {:>5}  {}{}\n", printable(member.name), name_width,
                        member.address, address_width, to_string(member.state), show_whole(member.since),
                        tags, member.self ? " (this one)" : "");
  }
  return text;
}

}  // namespace remora::proxy
