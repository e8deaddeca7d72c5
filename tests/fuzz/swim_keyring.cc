// Any sequence of key changes, and any bytes to open: the keys stay what a model says, what is sealed opens
// with every key that is installed, and nothing else does.
#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "discovery/swim/keyring.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using remora::discovery::swim::Keyring;
  const auto require = [](bool holds) {
    if (!holds) std::abort();
  };
  Keyring keys;
  std::vector<std::string> model;
  std::size_t at = 0;
  for (; at + 1 < size && data[at] < 4; at += 2) {
    // Few keys, so that they meet again: the byte is both the length and the content.
    const std::string key(data[at + 1] % 40, static_cast<char>(data[at + 1]));
    const auto found = std::ranges::find(model, key);
    const bool known = found != model.end();
    const bool good = key.size() == 16 || key.size() == 24 || key.size() == 32;
    switch (data[at]) {
      case 0:
        require(keys.install(key) == (good && (known || model.size() < Keyring::kKeys)));
        if (good && !known && model.size() < Keyring::kKeys) model.push_back(key);
        break;
      case 1:
        require(keys.use(key) == known);
        if (known) std::rotate(model.begin(), found, found + 1);
        break;
      default:
        require(keys.remove(key) == (known && found != model.begin()));
        if (known && found != model.begin()) model.erase(found);
        break;
    }
    require(keys.size() == model.size());
    for (std::size_t i = 0; i < model.size(); ++i) require(keys.key(i) == model[i]);
  }
  const std::string_view rest(reinterpret_cast<const char*>(data) + at, size - at);
  std::string sealed;
  require(keys.seal(rest, "label", {}, sealed) == !model.empty());
  if (!model.empty()) {
    require(keys.open(sealed, "label") == rest);
    require(!keys.open(sealed, "other"));
    require(!keys.open(std::string_view(sealed).substr(1), "label"));
  }
  require(!keys.open(rest, "label"));
  return 0;
}
