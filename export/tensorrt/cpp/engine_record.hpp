// What an engine was built of: model.engine.json beside it, as the runner in Python and hwtickets write it.
#pragma once

#include <string>

struct EngineRecord {
  std::string onnx_sha256;   // of model.onnx
  int version = 0;           // of TensorRT as the library gives it, e.g. 8502 or 100300
  std::string gpu;           // its name
  int major = 0, minor = 0;  // compute capability of the GPU
};

// Whether the record at `path` is of an engine built of all that.
bool vouches(const std::string& path, const EngineRecord& wanted);

// As JSON.
std::string text_of(const EngineRecord& record);

// E.g. "TensorRT 10.3.0"; libraries before 10 have one digit for the minor number.
std::string runtime_of(int version);
