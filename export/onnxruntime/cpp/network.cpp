// The network in ONNX Runtime, on the CPU, or on the GPU where the bundle is for one (not run on a GPU yet).
#include "network.hpp"

#include <dlfcn.h>
#include <onnxruntime_c_api.h>

#include <algorithm>
#include <stdexcept>

namespace {

// Everything used here has been in the interface since this version (ONNX Runtime 1.16), and it only grows.
constexpr std::uint32_t kApiVersion = std::min(ORT_API_VERSION, 16);

constexpr char kTooOld[] =
    " is too old: 1.16 or later is needed; configure the runner with -DONNXRUNTIME_ROOT=...";

// The library is the one that CMake found: often that of the Python package, which no linker would find.
const OrtApiBase& library() {
  void* handle = dlopen(ORT_LIBRARY, RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) throw std::runtime_error(std::string(dlerror()) + "; configure the runner again");
  const auto base = reinterpret_cast<const OrtApiBase* (*)()>(dlsym(handle, "OrtGetApiBase"));
  if (base == nullptr) throw std::runtime_error(std::string(ORT_LIBRARY) + " is not ONNX Runtime");
  return *base();
}

const OrtApi& api_of(const OrtApiBase& base) {
  const OrtApi* api = base.GetApi(kApiVersion);
  if (api == nullptr)
    throw std::runtime_error(std::string("ONNX Runtime ") + base.GetVersionString() + kTooOld);
  return *api;
}

struct Release {
  const OrtApi* api;
  void operator()(OrtEnv* value) const { api->ReleaseEnv(value); }
  void operator()(OrtSession* value) const { api->ReleaseSession(value); }
  void operator()(OrtSessionOptions* value) const { api->ReleaseSessionOptions(value); }
  void operator()(OrtMemoryInfo* value) const { api->ReleaseMemoryInfo(value); }
  void operator()(OrtValue* value) const { api->ReleaseValue(value); }
};

template <typename T>
using Owned = std::unique_ptr<T, Release>;

}  // namespace

struct Network::Parts {
  const OrtApiBase& base;
  const OrtApi& api;
  std::string runtime, input_name, output_name;
  std::vector<std::int64_t> input_shape;
  std::vector<float> outputs;
  bool on_gpu, in_caller;
  Owned<OrtEnv> environment;
  Owned<OrtSession> session;
  Owned<OrtMemoryInfo> memory;
  Owned<OrtValue> output;

  Parts(const Model& model, int threads)
      : base(library()),
        api(api_of(base)),
        runtime(std::string("ONNX Runtime ") + base.GetVersionString()),
        input_name(model.input_name),
        output_name(model.output_name),
        input_shape(model.input_shape.begin(), model.input_shape.end()),
        outputs(product(model.output_shape)),
        on_gpu(model.numbers.count("on_gpu") && model.at_least("on_gpu", 1)[0] != 0),
        in_caller(threads == 1 && !on_gpu),
        environment(nullptr, {&api}),
        session(nullptr, {&api}),
        memory(nullptr, {&api}),
        output(nullptr, {&api}) {}

  void require(OrtStatus* status) const {
    if (status == nullptr) return;
    std::string reason = api.GetErrorMessage(status);
    api.ReleaseStatus(status);
    reason = runtime + ": " + reason.substr(0, reason.find('\n'));
    for (const char* newer : {"IR version", "opset", "Opset"}) {
      if (reason.find(newer) != std::string::npos) throw std::runtime_error(reason + "; it" + kTooOld);
    }
    throw std::runtime_error(reason + "; copy model.onnx again, or export it again");
  }

  // The first GPU. fp32 is fp32 there: tensor cores do not round to TF32.
  void use_gpu(OrtSessionOptions* options) const {
    OrtCUDAProviderOptionsV2* made = nullptr;
    OrtStatus* status = api.CreateCUDAProviderOptions(&made);
    const char* key = "use_tf32";
    const char* value = "0";
    if (status == nullptr) status = api.UpdateCUDAProviderOptions(made, &key, &value, 1);
    if (status == nullptr) status = api.SessionOptionsAppendExecutionProvider_CUDA_V2(options, made);
    if (made != nullptr) api.ReleaseCUDAProviderOptions(made);
    if (status == nullptr) return;
    std::string reason = api.GetErrorMessage(status);
    api.ReleaseStatus(status);
    throw std::runtime_error("this bundle is for a GPU, and " + runtime +
                             " cannot use one here: " + reason.substr(0, reason.find('\n')) +
                             "; configure the runner with the release for GPUs: -DONNXRUNTIME_ROOT=...");
  }

  // Values that stay where they are, as a tensor.
  Owned<OrtValue> tensor(float* values, std::size_t count, const std::vector<std::int64_t>& shape) const {
    OrtValue* made = nullptr;
    require(api.CreateTensorWithDataAsOrtValue(memory.get(), values, count * sizeof(float), shape.data(),
                                               shape.size(), ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &made));
    return Owned<OrtValue>(made, {&api});
  }

  void load(const std::string& path, int threads) {
    OrtEnv* made_environment = nullptr;
    require(api.CreateEnv(ORT_LOGGING_LEVEL_ERROR, "runner", &made_environment));
    environment.reset(made_environment);
    OrtSessionOptions* made_options = nullptr;
    require(api.CreateSessionOptions(&made_options));
    const Owned<OrtSessionOptions> options(made_options, {&api});
    require(api.SetIntraOpNumThreads(options.get(), threads));
    require(api.SetInterOpNumThreads(options.get(), 1));
    // Spinning threads burn the time of whatever runs beside them.
    require(api.AddSessionConfigEntry(options.get(), "session.intra_op.allow_spinning", "0"));
    // Numbers below 1e-38, which a masked softmax is full of, are slow on some processors.
    require(api.AddSessionConfigEntry(options.get(), "session.set_denormal_as_zero", "1"));
    if (on_gpu) use_gpu(options.get());
    OrtSession* made_session = nullptr;
    require(api.CreateSession(environment.get(), path.c_str(), options.get(), &made_session));
    session.reset(made_session);
    OrtMemoryInfo* made_memory = nullptr;
    require(api.CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &made_memory));
    memory.reset(made_memory);
  }
};

Network::Network(const std::string& folder, const Model& model, int threads)
    : parts_(std::make_unique<Parts>(model, threads)) {
  parts_->load(folder + "/model.onnx", threads);
  const std::vector<std::int64_t> shape(model.output_shape.begin(), model.output_shape.end());
  parts_->output = parts_->tensor(parts_->outputs.data(), parts_->outputs.size(), shape);
}

Network::~Network() = default;

const std::vector<float>& Network::run(const float* input) {
  Parts& parts = *parts_;
  std::size_t count = 1;
  for (const std::int64_t size : parts.input_shape) count *= static_cast<std::size_t>(size);
  // The interface has no tensors that are only read; an input is.
  const Owned<OrtValue> given = parts.tensor(const_cast<float*>(input), count, parts.input_shape);
  const char *input_name = parts.input_name.c_str(), *output_name = parts.output_name.c_str();
  const OrtValue* inputs[] = {given.get()};
  OrtValue* outputs[] = {parts.output.get()};
  parts.require(
      parts.api.Run(parts.session.get(), nullptr, &input_name, inputs, 1, &output_name, 1, outputs));
  return parts.outputs;
}

const std::string& Network::runtime() const { return parts_->runtime; }

// With one thread the caller's own does all the work.
bool Network::computes_in_caller() const { return parts_->in_caller; }
