// Runs the network of a bundle on images, on its samples to check it, or to time it; see README.md.
#include <cstdio>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string>

#include "verbs.hpp"

namespace {

int run(const Options& options) {
  using Verb = int (*)(Network&, const Model&, const Options&);
  const Verb verb = options.verb == "predict"     ? predict
                    : options.verb == "check"     ? check
                    : options.verb == "benchmark" ? benchmark
                                                  : nullptr;
  if (verb == nullptr) {
    std::fprintf(stderr, "error: unknown verb '%s'; see runner --help\n", options.verb.c_str());
    return 2;
  }
  const Model model = read_model(options.folder);
  const std::string onnx = options.folder + "/model.onnx";
  if (!std::ifstream(onnx)) {
    throw std::runtime_error("there is no " + onnx + "; where the bundle is packed: python3 unpack.py");
  }
  Network network(options.folder, model, options.threads);
  return verb(network, model, options);
}

}  // namespace

int main(int count, char** arguments) {
  if (count == 2 && std::strcmp(arguments[1], "--help") == 0) {
    std::fputs(kUsage, stdout);
    return 0;
  }
  try {
    return run(parse_options(count, arguments));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
