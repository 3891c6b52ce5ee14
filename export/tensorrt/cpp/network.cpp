// The network in TensorRT, on the GPU of this board. Not run on a board by its authors yet.
#include "network.hpp"

#include <NvInfer.h>
#include <NvOnnxParser.h>
#include <cuda_runtime_api.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "engine_record.hpp"
#include "sha256.hpp"
#include "whole.hpp"

namespace {

// Keeps the first error, to be told in one line.
class Log : public nvinfer1::ILogger {
 public:
  void log(Severity severity, const char* message) noexcept override {
    if (severity <= Severity::kERROR && reason_.empty()) reason_ = message;
  }
  std::string reason() const {
    return reason_.empty() ? "it gives no reason" : reason_.substr(0, reason_.find('\n'));
  }

 private:
  std::string reason_;
};

template <typename T>
std::unique_ptr<T> made(T* object, const char* what, const Log& log) {
  if (object == nullptr)
    throw std::runtime_error(std::string("TensorRT cannot ") + what + ": " + log.reason());
  return std::unique_ptr<T>(object);
}

void require(cudaError_t code) {
  if (code != cudaSuccess) throw std::runtime_error(std::string("CUDA: ") + cudaGetErrorString(code));
}

nvinfer1::Dims dims_of(const std::vector<std::size_t>& shape) {
  if (shape.size() > static_cast<std::size_t>(nvinfer1::Dims::MAX_DIMS)) {
    throw std::runtime_error("the input has too many dimensions for TensorRT");
  }
  nvinfer1::Dims dims{};
  dims.nbDims = static_cast<std::int32_t>(shape.size());
  for (std::size_t i = 0; i < shape.size(); ++i) dims.d[i] = static_cast<std::int32_t>(shape[i]);
  return dims;
}

// From TensorRT 10 on, the precision is the graph's own, in 11 without being asked; before, it is only
// allowed.
nvinfer1::NetworkDefinitionCreationFlags network_flags() {
#if NV_TENSORRT_MAJOR >= 11
  return 0;
#elif NV_TENSORRT_MAJOR == 10
  return 1U << static_cast<std::uint32_t>(nvinfer1::NetworkDefinitionCreationFlag::kSTRONGLY_TYPED);
#else
  return 1U << static_cast<std::uint32_t>(nvinfer1::NetworkDefinitionCreationFlag::kEXPLICIT_BATCH);
#endif
}

void allow_precision(nvinfer1::IBuilderConfig& config, const std::string& precision) {
#if NV_TENSORRT_MAJOR >= 10
  static_cast<void>(config);
  static_cast<void>(precision);
#else
  if (precision != "fp32") config.setFlag(nvinfer1::BuilderFlag::kFP16);
  if (precision == "int8" || precision == "mixed") config.setFlag(nvinfer1::BuilderFlag::kINT8);
#endif
}

// A batch that the graph leaves open is 1 here.
void fix_batch(nvinfer1::IBuilder& builder, nvinfer1::IBuilderConfig& config, const Model& model) {
  nvinfer1::IOptimizationProfile* profile = builder.createOptimizationProfile();
  using Selector = nvinfer1::OptProfileSelector;
  for (const Selector selector : {Selector::kMIN, Selector::kOPT, Selector::kMAX}) {
    profile->setDimensions(model.input_name.c_str(), selector, dims_of(model.input_shape));
  }
  config.addOptimizationProfile(profile);
}

std::string build(const std::string& onnx, const Model& model, Log& log) {
  std::fprintf(stderr, "building an engine for this GPU, once; it takes up to some minutes\n");
  const auto builder = made(nvinfer1::createInferBuilder(log), "start", log);
  const auto network = made(builder->createNetworkV2(network_flags()), "start", log);
  const auto parser = made(nvonnxparser::createParser(*network, log), "start", log);
  const auto verbosity = static_cast<std::int32_t>(nvinfer1::ILogger::Severity::kERROR);
  if (!parser->parseFromFile(onnx.c_str(), verbosity)) {
    const std::string reason = parser->getNbErrors() > 0 ? parser->getError(0)->desc() : log.reason();
    throw std::runtime_error("TensorRT cannot read " + onnx + ": " + reason.substr(0, reason.find('\n')));
  }
  const auto config = made(builder->createBuilderConfig(), "start", log);
  allow_precision(*config, model.precision);
  // Only allowed: the faster kernel wins.
  config->setFlag(nvinfer1::BuilderFlag::kSPARSE_WEIGHTS);
  if (network->getInput(0)->getDimensions().d[0] == -1) fix_batch(*builder, *config, model);
  const auto plan = made(builder->buildSerializedNetwork(*network, *config), "build the model", log);
  const char* data = static_cast<const char*>(plan->data());
  return std::string(data, plan->size());
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

// What an engine of this model would be built of, here and now.
EngineRecord record_here(const std::string& onnx) {
  cudaDeviceProp gpu{};
  require(cudaGetDeviceProperties(&gpu, 0));
  return {sha256_of(onnx), getInferLibVersion(), gpu.name, gpu.major, gpu.minor};
}

// Memory on the GPU.
struct Memory {
  void* address = nullptr;
  explicit Memory(std::size_t bytes) { require(cudaMalloc(&address, bytes)); }
  ~Memory() { cudaFree(address); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
};

struct Stream {
  cudaStream_t handle = nullptr;
  Stream() { require(cudaStreamCreate(&handle)); }
  ~Stream() { cudaStreamDestroy(handle); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
};

}  // namespace

struct Network::Parts {
  Log log;
  std::string name;
  std::unique_ptr<nvinfer1::IRuntime> runtime;
  std::unique_ptr<nvinfer1::ICudaEngine> engine;
  std::unique_ptr<nvinfer1::IExecutionContext> context;
  std::vector<float> outputs;
  std::size_t input_bytes, output_bytes;
  Memory input, output;
  Stream stream;

  explicit Parts(const Model& model)
      : name(runtime_of(getInferLibVersion())),
        outputs(product(model.output_shape)),
        input_bytes(product(model.input_shape) * sizeof(float)),
        output_bytes(outputs.size() * sizeof(float)),
        input(input_bytes),
        output(output_bytes) {}

  // The engine of an earlier run, if it was built of this model, for this TensorRT and this GPU; otherwise a
  // new one.
  void load(const std::string& folder, const Model& model) {
    const std::string path = folder + "/model.engine", onnx = folder + "/model.onnx", beside = path + ".json";
    const EngineRecord record = record_here(onnx);
    runtime = made(nvinfer1::createInferRuntime(log), "start", log);
    std::string plan;
    if (vouches(beside, record)) plan = read_file(path);
    if (!plan.empty()) engine.reset(runtime->deserializeCudaEngine(plan.data(), plan.size()));
    if (engine == nullptr) {
      log = Log();
      plan = build(onnx, model, log);
      // A record of another engine must not vouch for this one, however this ends.
      write_whole(beside, "{}\n");
      write_whole(path, plan);
      write_whole(beside, text_of(record));
      engine = made(runtime->deserializeCudaEngine(plan.data(), plan.size()), "read its engine", log);
    }
    context = made(engine->createExecutionContext(), "prepare the engine", log);
    const bool placed = context->setInputShape(model.input_name.c_str(), dims_of(model.input_shape)) &&
                        context->setTensorAddress(model.input_name.c_str(), input.address) &&
                        context->setTensorAddress(model.output_name.c_str(), output.address);
    if (!placed) throw std::runtime_error("the engine is not of this network: delete " + path);
  }
};

Network::Network(const std::string& folder, const Model& model, int)
    : parts_(std::make_unique<Parts>(model)) {
  parts_->load(folder, model);
}

Network::~Network() = default;

const std::vector<float>& Network::run(const float* input) {
  Parts& parts = *parts_;
  const cudaStream_t stream = parts.stream.handle;
  require(cudaMemcpyAsync(parts.input.address, input, parts.input_bytes, cudaMemcpyHostToDevice, stream));
  if (!parts.context->enqueueV3(stream)) throw std::runtime_error("TensorRT: " + parts.log.reason());
  require(cudaMemcpyAsync(parts.outputs.data(), parts.output.address, parts.output_bytes,
                          cudaMemcpyDeviceToHost, stream));
  require(cudaStreamSynchronize(stream));
  return parts.outputs;
}

const std::string& Network::runtime() const { return parts_->name; }

// The time of this thread is not that of the GPU.
bool Network::computes_in_caller() const { return false; }
