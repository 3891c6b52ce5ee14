// A network that is ready to run; network.cpp is the part that knows the runtime.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model.hpp"

class Network {
 public:
  // Loads model.onnx of a bundle. Throws std::runtime_error with one line if that fails.
  Network(const std::string& folder, const Model& model, int threads);
  ~Network();
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  // Computes once; the values stay valid until the next run. Throws std::runtime_error if that fails.
  const std::vector<float>& run(const float* input);

  // Name and version of the runtime.
  const std::string& runtime() const;

  // Whether all the work is done in the caller's thread, so that its CPU time is the time of the network.
  bool computes_in_caller() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};
