#include "engine_record.hpp"

#include <array>
#include <fstream>
#include <iterator>
#include <utility>

namespace {

using Entry = std::pair<const char*, std::string>;

std::array<Entry, 4> entries_of(const EngineRecord& record) {
  return {{{"onnx_sha256", record.onnx_sha256},
           {"runtime", runtime_of(record.version)},
           {"name", record.gpu},
           {"compute_capability", std::to_string(record.major) + "." + std::to_string(record.minor)}}};
}

std::string said(const Entry& entry) {
  return std::string("\"") + entry.first + "\": \"" + entry.second + "\"";
}

}  // namespace

bool vouches(const std::string& path, const EngineRecord& wanted) {
  std::ifstream file(path);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  for (const Entry& entry : entries_of(wanted)) {
    if (text.find(said(entry)) == std::string::npos) return false;
  }
  return true;
}

std::string text_of(const EngineRecord& record) {
  const auto [onnx, runtime, name, capability] = entries_of(record);
  return "{\n  " + said(onnx) + ",\n  " + said(runtime) + ",\n  \"gpu\": {" + said(name) + ", " +
         said(capability) + "}\n}\n";
}

std::string runtime_of(int version) {
  const int minors = version < 10000 ? 10 : 100;
  return "TensorRT " + std::to_string(version / (100 * minors)) + "." +
         std::to_string(version / 100 % minors) + "." + std::to_string(version % 100);
}
